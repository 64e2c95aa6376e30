"""How many validation passes perturbation-based selection needs with early stopping, and whether decisions stay.

A supernet is trained; then selection goes its whole way. At every decision the changes are compared twice from the same
state: on all validation images, whose outcome counts, and with early stopping.
"""

import time
from typing import Any

from benchmarks.results import Row, data_name, machine
from nasengine.data import ImageDataset
from nasengine.protocols import NetworkConfig, SupernetSpace, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.selection import PerturbationSelection, Stopping
from nasengine.selection.comparison import Comparison
from nasengine.supernet import ArchitectureWeights, Mixture, Supernet
from nasengine.supernet.training import ArchitectureTraining, DifferentiableTraining

NUM_TRAIN_IMAGES, IMAGE_SIZE = 10_000, 16
SIZES = {"nasbench201": (8, 1, 15), "darts": (4, 3, 3)}  # channels, cells, epochs


class _Both(PerturbationSelection):
    """Takes the decisions of full passes, and remembers what early stopping would have said."""

    def __init__(self, *arguments: Any, early: Stopping, **options: Any) -> None:
        super().__init__(*arguments, stopping=Stopping(None), **options)
        self.early = early
        self.pairs: list[tuple[Comparison[int], Comparison[int]]] = []

    def _compare(self, mixtures: dict[int, Mixture], *, most: bool) -> Comparison[int]:
        full = super()._compare(mixtures, most=most)
        self.stopping = self.early
        stopped = super()._compare(mixtures, most=most)
        self.stopping = Stopping(None)
        self.pairs.append((full, stopped))
        return full


def run(space: SupernetSpace, dataset: ImageDataset, *, seed: int, criterion: str, batch_size: int) -> Row:
    """One row: passes of both ways, and the share of equal decisions."""
    begin = time.perf_counter()
    channels, cells, epochs = SIZES[space.name]
    reduced = dataset.reduced(NUM_TRAIN_IMAGES, 1000, IMAGE_SIZE, seed)
    config = NetworkConfig(reduced.num_classes, reduced.image_shape, channels, cells, searching=True)
    recipe = TrainingRecipe(epochs=epochs, batch_size=64, learning_rate=0.025, final_learning_rate=0.001)
    training = DifferentiableTraining(
        Supernet(space, config, seed_of(seed, "supernet")), ArchitectureWeights(space.topology, seed), reduced, recipe,
        architecture=ArchitectureTraining(order=0), seed=seed,
    )  # fmt: skip
    for epoch in range(epochs):
        training.run_step(epoch)
    selection = _Both(
        space, training, reduced, tuning_epochs=1 if space.name == "nasbench201" else 0, batch_size=batch_size,
        seed=seed, criterion=criterion, early=Stopping(),
    )  # fmt: skip
    for step in range(selection.num_steps):
        selection.run_step(step)
    full = sum(pair[0].num_passes for pair in selection.pairs)
    stopped = sum(pair[1].num_passes for pair in selection.pairs)
    equal = sum(pair[0].chosen == pair[1].chosen for pair in selection.pairs)
    return {
        "benchmark": "selection", "method": "early stopping", "space": space.name, "data": data_name(dataset),
        "seed": seed, "criterion": criterion, "batch_size": batch_size, "num_images": len(reduced.validation),
        "seconds": round(time.perf_counter() - begin, 1), "machine": machine(), "num_decisions": len(selection.pairs),
        "equal_decisions": equal, "full_passes": full, "passes": round(stopped, 2), "share": round(stopped / full, 4),
        "largest_loss": round(max(_lost(*pair) for pair in selection.pairs), 5),
    }  # fmt: skip


def _lost(full: Comparison[int], stopped: Comparison[int]) -> float:
    """How far, on all images, the change that early stopping chose is from the one that full passes chose."""
    return abs(full.damage[full.chosen] - full.damage[stopped.chosen])
