"""Training that knows of int8: what a network loses by eight bits, it learns to do without (an option; QAT).

Jacob et al., 2017, arXiv 1712.05877, section 3: while training, weights and activations are rounded as they will be in
the int8 file, and gradients pass as if they were not. The network that comes out has plain float32 weights, exports as
any other, and loses less when ``quantize_int8`` rounds them. Weights have a scale for each output channel, so a batch
norm behind a convolution may be merged with it or not; activations have one range a tensor, which follows the smallest
and largest value of each batch. The network as it was is the teacher (Hinton et al., 2015, arXiv 1503.02531), since its
answers are what the int8 file is to give.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from nasengine.data import ImageDataset
from nasengine.errors import ConfigError
from nasengine.evaluation import NetworkTraining
from nasengine.evaluation.distillation import distillation
from nasengine.graph import ComputationGraph
from nasengine.network import GraphNetwork, Plan, build_functions
from nasengine.pipeline.exporting import with_weights_of, without_auxiliary
from nasengine.protocols import TrainingRecipe

MIN_BITS, MAX_BITS = 2, 8
MOMENTUM = 0.1
"""How far a range moves towards that of a batch."""
TEACHER_WEIGHT = 0.5
TUNING_RATE = 0.1
MERGED = {"conv": ("batch_norm", "relu"), "batch_norm": ("relu",), "add": ("relu",), "linear": ("relu",)}
"""What runtimes compute together with a node where nothing else reads it: only the last value is rounded."""
MOVES = ("identity", "reshape", "flatten", "transpose", "slice", "crop", "truncate", "max_pool", "pad", "zero")
"""Kinds whose values were rounded before."""

_ORIGINAL = ".parametrizations.weight.original"


def train_for_int8(
    network: GraphNetwork,
    dataset: ImageDataset,
    recipe: TrainingRecipe,
    *,
    seed: int,
    bits: int = 8,
) -> GraphNetwork:
    """Fine-tune a trained network so that it loses less when it is quantised.

    Args:
        network: stays as it is; a second classifier is left out.
        dataset: its training images.
        recipe: see ``int8_recipe``.
        seed: of the order of batches.
        bits: of weights and activations, 2 to 8.

    Returns:
        A network of the same graph with plain float32 weights.

    Raises:
        ConfigError: another number of bits.
        TrainingError: the training diverged.
    """
    task = int8_training(network, dataset, recipe, seed=seed, bits=bits)
    for epoch in range(task.num_steps):
        task.run_step(epoch)
    return plain_network(task)


def int8_recipe(recipe: TrainingRecipe, epochs: int) -> TrainingRecipe:
    """A short training at a tenth of the learning rate that the network was trained with."""
    return replace(
        recipe, epochs=epochs, warmup_epochs=0, drop_path=0.0, auxiliary_weight=0.0, cutout=0.0, compiled=False,
        learning_rate=recipe.learning_rate * TUNING_RATE, final_learning_rate=recipe.final_learning_rate * TUNING_RATE,
    )  # fmt: skip


def int8_training(
    network: GraphNetwork, dataset: ImageDataset, recipe: TrainingRecipe, *, seed: int, bits: int = 8
) -> NetworkTraining:
    """The same as a task whose steps can be interrupted; ``plain_network`` takes the result out of it."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ConfigError(f"int8 training, bits: expected from {MIN_BITS} to {MAX_BITS}, got {bits}")
    teacher = without_auxiliary(network)
    rounded = RoundedNetwork(with_weights_of(teacher, teacher.graph), bits)
    return NetworkTraining(
        "int8", rounded, dataset, recipe, seed=seed,
        forward=lambda images, drop_path, generator: rounded(images),
        objective=distillation(copy.deepcopy(teacher).eval(), TEACHER_WEIGHT),
    )  # fmt: skip


def plain_network(task: NetworkTraining) -> GraphNetwork:
    """What a task of ``int8_training`` has trained, without rounding."""
    rounded = task.network
    assert isinstance(rounded, RoundedNetwork)
    return rounded.plain()


class RoundedNetwork(nn.Module):
    """Computes what a network's int8 file will, with gradients that pass the rounding.

    Args:
        network: its weights are trained in place.
        bits: of weights and activations.
    """

    def __init__(self, network: GraphNetwork, bits: int) -> None:
        super().__init__()
        self.network = network
        for layer in _layers(network):
            parametrize.register_parametrization(layer, "weight", RoundedWeight(bits))
        graph = network.graph
        self.ranges = nn.ModuleDict({str(node): RoundedActivation(bits) for node in _rounded_nodes(graph)})
        self._plan = Plan(graph, range(len(graph)))
        functions = build_functions(graph, network.nodes)
        self._functions = [self._rounded(node, function) for node, function in enumerate(functions)]

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        x = self.ranges["0"](x) if "0" in self.ranges else x
        return self._plan.run(x, self._functions)[0]

    def plain(self) -> GraphNetwork:
        """A network with the float32 weights."""
        found = GraphNetwork(self.network.graph)
        stored = self.network.state_dict()
        found.load_state_dict({name.replace(_ORIGINAL, ".weight"): value for name, value in stored.items()})
        return found.to(next(iter(stored.values())).device).train(self.training)

    def _rounded(self, node: int, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        key = str(node)
        if key not in self.ranges:
            return function
        return lambda *parts: self.ranges[key](function(*parts))


class RoundedWeight(nn.Module):
    """Rounds weights to whole multiples of a scale for each output channel, both signs alike."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.largest = 2 ** (bits - 1) - 1

    def forward(self, weight: Tensor) -> Tensor:
        """Rounded weights; the first dimension is that of the output channels."""
        with torch.no_grad():
            scale = weight.abs().flatten(1).amax(1).clamp_min(torch.finfo(weight.dtype).tiny * 2**16) / self.largest
            zero = torch.zeros_like(scale, dtype=torch.int32)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -self.largest, self.largest)


class RoundedActivation(nn.Module):
    """Rounds values to the levels of a range that follows the batches in training; zero is a level."""

    low: Tensor
    high: Tensor

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.levels = 2**bits - 1
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Rounded values."""
        if self.training:
            self._follow(x.detach())
        scale = (self.high - self.low).clamp_min(1e-12) / self.levels
        zero = (-self.low / scale).round().clamp(0, self.levels).to(torch.int32)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, self.levels)

    def _follow(self, x: Tensor) -> None:
        low, high = x.amin().clamp_max(0.0), x.amax().clamp_min(0.0)
        is_first = bool(self.high == self.low)
        self.low.lerp_(low, 1.0 if is_first else MOMENTUM)
        self.high.lerp_(high, 1.0 if is_first else MOMENTUM)


def _layers(network: GraphNetwork) -> list[nn.Module]:
    return [module for module in network.nodes.values() if isinstance(module, (nn.Conv2d, nn.Linear))]


def _rounded_nodes(graph: ComputationGraph) -> Sequence[int]:
    """Nodes whose values the int8 file holds in eight bits: not logits, nor what is computed together with another."""
    kinds = [operation.kind for operation in graph.operations]
    readers: list[list[int]] = [[] for _ in kinds]
    for node, sources in enumerate(graph.inputs):
        for source in sources:
            readers[source].append(node)

    def is_merged(node: int) -> bool:
        return len(readers[node]) == 1 and kinds[readers[node][0]] in MERGED.get(kinds[node], ())

    return [
        node for node in range(len(kinds))
        if node not in graph.outputs and kinds[node] not in MOVES and not is_merged(node)
    ]  # fmt: skip
