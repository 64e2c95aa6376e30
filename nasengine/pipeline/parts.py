"""What a search is put together from."""

from dataclasses import dataclass

from nasengine.data import ImageDataset
from nasengine.pipeline.workers import Workers
from nasengine.protocols import ElasticSpace, Exporter, PoolPredictor, SupernetSpace
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
