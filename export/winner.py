"""A trained network with all that its card says of where it came from."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nasengine.data import ImageDataset
from nasengine.network import GraphNetwork
from nasengine.pipeline.exporting import deployed_network
from nasengine.protocols import TrainingRecipe

if TYPE_CHECKING:
    from nasengine.pipeline import Search
    from nasengine.store import RunStore


@dataclass(frozen=True, slots=True)
class Winner:
    """A trained network and where it came from.

    Args:
        network: as it is exported, on the CPU.
        dataset: that it was trained and tested on.
        space, genotype: what it is.
        run: name of the run's folder, without the folders above it: these are nobody's business.
        seed, budget: of the run.
        weights_sha256: of the trained weights.
        recipe: that it was trained with.
    """

    network: GraphNetwork
    dataset: ImageDataset
    space: str
    genotype: str
    run: str
    seed: int
    budget: str
    weights_sha256: str
    recipe: TrainingRecipe


def winner_of(search: "Search", store: "RunStore") -> Winner:
    """The winner of a finished run.

    Raises:
        StoreError: the run has no winner yet.
    """
    ancestor = search.ancestor(store)
    settings = search.settings
    return Winner(
        deployed_network(ancestor.network), search.dataset, settings.space, ancestor.lineage["genotype"],
        store.folder.resolve().name, settings.seed, settings.budget, ancestor.lineage["weights_sha256"],
        ancestor.recipe,
    )  # fmt: skip
