"""How an architecture is found: it depends on what the space states, never on its name."""

from dataclasses import dataclass

from nasengine.data import ImageDataset
from nasengine.errors import ConfigError
from nasengine.network import GraphNetwork
from nasengine.pipeline.architecture_search import ArchitectureSearch
from nasengine.pipeline.elastic_search import ElasticSearch
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.task import Progress
from nasengine.pipeline.workers import Workers
from nasengine.protocols import ElasticSpace, Exporter, PoolPredictor, SearchScale, SupernetSpace
from nasengine.selection import MakeStrategy
from nasengine.targets import Device


@dataclass(frozen=True)
class Parts:
    """What a search is put together from; ``assembly.py`` finds them by name."""

    space: SupernetSpace | ElasticSpace
    dataset: ImageDataset
    exporter: Exporter
    make_strategy: MakeStrategy
    predictor: PoolPredictor | None = None
    device: Device | None = None
    workers: Workers | None = None


def search_of(
    settings: SearchSettings, scale: SearchScale, parts: Parts, *, dataset: ImageDataset, progress: Progress
) -> ArchitectureSearch | ElasticSearch:
    """A search over a supergraph or, where the space states none, over an elastic supernet.

    Args:
        settings: of the run.
        scale: sizes and lengths of everything.
        parts: space, strategy and whatever else there is.
        dataset: the images of the parts that the budget keeps.
        progress: is told about every step.

    Raises:
        ConfigError: settings or images that the search cannot work with.
    """
    space = parts.space
    if settings.also_macs and not isinstance(space, ElasticSpace):
        raise ConfigError(f"--also-macs: expected a space whose supernet is elastic, got {space.name}; leave it out")
    if isinstance(space, SupernetSpace):
        return ArchitectureSearch(
            settings, scale, space, dataset, parts.make_strategy, progress,
            workers=parts.workers, predictor=parts.predictor, device=parts.device,
        )  # fmt: skip
    return ElasticSearch(
        settings,
        scale,
        space,
        dataset,
        parts.make_strategy,
        progress,
        device=parts.device,
        predictor=parts.predictor,
        workers=parts.workers,
    )


def finished(search: ArchitectureSearch | ElasticSearch, network: GraphNetwork) -> GraphNetwork:
    """A trained network as it is used; what an elastic supernet gave is trained so briefly that statistics lag."""
    return search.recalibrated(network) if isinstance(search, ElasticSearch) else network
