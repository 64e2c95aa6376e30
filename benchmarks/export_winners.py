"""Networks for the measurements of files: an architecture of a space, trained briefly on small images."""

import random
from dataclasses import dataclass, replace

from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.errors import GraphError
from nasengine.evaluation import NetworkTraining
from nasengine.graph import ComputationGraph, cost, prune
from nasengine.network import GraphNetwork
from nasengine.protocols import SearchSpace, TrainingRecipe
from nasengine.randomness import seed_of

CONVOLUTIONAL = TrainingRecipe(epochs=12, batch_size=64, learning_rate=0.05, weight_decay=5e-4, nesterov=True)
TRANSFORMER = TrainingRecipe(
    epochs=24, batch_size=64, learning_rate=1e-3, weight_decay=0.05, optimizer="adamw", warmup_epochs=3
)
MAX_MACS = 50_000_000
"""Of one image; larger networks take minutes to train on small images, where they are of no use."""
MAX_DRAWS = 100


@dataclass(frozen=True, eq=False)
class Winner:
    """A trained network.

    Args:
        space, genotype: the architecture.
        network: with all training images learned from.
        recipe: of its training.
    """

    space: str
    genotype: str
    network: GraphNetwork
    recipe: TrainingRecipe


def train_winner(space_name: str, dataset: ImageDataset, seed: int, epochs: int | None = None) -> Winner:
    """A random architecture of a space at the sizes of its ``standard`` budget, or the paper's where it has none.

    Args:
        space_name: registered.
        dataset: its training images, both halves, are learned from.
        seed: of architecture, weights and order of batches.
        epochs: instead of 12 of a convolutional network and 24 of a transformer.

    Raises:
        GraphError: none of a hundred random architectures takes images of this size.
    """
    space: SearchSpace = registry.load("search space", space_name)
    architecture, graph = _drawn(space, dataset, seed)
    network = GraphNetwork(graph, seed_of(seed, "winner"))
    recipe = recipe_of(graph, epochs)
    task = NetworkTraining("winner", network, dataset, recipe, seed=seed)
    for epoch in range(task.num_steps):
        task.run_step(epoch)
    return Winner(space_name, space.format(architecture), network.eval(), recipe)


def recipe_of(graph: ComputationGraph, epochs: int | None = None) -> TrainingRecipe:
    """How a network is trained: AdamW where layers are normalised, SGD where batches are."""
    is_transformer = any(operation.kind == "layer_norm" for operation in graph.operations)
    recipe = TRANSFORMER if is_transformer else CONVOLUTIONAL
    if epochs is None:
        return recipe
    return replace(recipe, epochs=epochs, warmup_epochs=min(recipe.warmup_epochs, epochs // 2))


def _drawn(space: SearchSpace, dataset: ImageDataset, seed: int) -> tuple[Architecture, ComputationGraph]:
    config = replace(space.defaults, num_classes=dataset.num_classes, image_shape=dataset.image_shape)
    scale = getattr(space, "scales", {}).get("standard")
    if scale is not None:
        config = replace(config, channels=scale.final_channels, cells=scale.final_cells)
    rng = random.Random(seed)
    for _ in range(MAX_DRAWS):
        architecture = space.sample(rng)
        try:
            graph = prune(space.to_graph(architecture, config))
        except GraphError:  # such as patches that do not divide the images
            continue
        if cost(graph).macs <= MAX_MACS:
            return architecture, graph
    raise GraphError(f"{space.name}: expected an architecture for images of {config.image_shape}, got none")
