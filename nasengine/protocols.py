"""The doors of the house: what a search space, predictor, strategy, evaluator and exporter must offer.

Protocols are structural: a plug-in inherits nothing, it only has these methods. Nothing here imports torch.
"""

import random
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from nasengine.architecture import Architecture
from nasengine.graph.computation_graph import ComputationGraph, Shape
from nasengine.graph.supergraph import Selection, SuperGraph

if TYPE_CHECKING:
    import numpy
    import torch

    from nasengine.cells.topology import CellTopology


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Size of a network of cells.

    Args:
        num_classes: outputs of the classifier.
        image_shape: (channels, height, width) of the images.
        channels: channels of the first cells.
        cells: number of cells (DARTS), or of cells in each stage (NAS-Bench-201).
        searching: build as supernets are: batch norms without scale and shift, and after pools (DARTS).
        auxiliary_head: add the second classifier that DARTS trains with, where the images are large enough.
    """

    num_classes: int = 10
    image_shape: Shape = (3, 32, 32)
    channels: int = 16
    cells: int = 8
    searching: bool = False
    auxiliary_head: bool = False


Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True)
class TrainingRecipe:
    """How a network or supernet is trained: by default SGD with momentum and a cosine learning rate.

    Args:
        epochs: passes over the training images.
        batch_size: images in a step, at most.
        learning_rate, final_learning_rate: ends of the cosine.
        momentum, weight_decay, nesterov: of SGD.
        gradient_clip: largest norm of the gradient; None for no limit.
        cutout: side of the square that is blanked in a training image, as a share of the image's side.
        drop_path: chance of dropping a path at the end of training; it grows linearly from 0.
        auxiliary_weight: weight of the auxiliary classifier's loss; 0 trains without one.
        precision: ``bfloat16`` computes layers in half precision (torch's autocast; weights stay as they are): faster
            on GPUs, with other results, and slower on most CPUs.
        compiled: compile networks with ``torch.compile`` first; not supernets, whose graphs change with every choice.
        optimizer: of networks; ``adamw`` has no use for momentum. Supernets are always trained by SGD.
        warmup_epochs: epochs in which the learning rate rises linearly, of networks.
    """

    epochs: int
    batch_size: int = 64
    learning_rate: float = 0.025
    final_learning_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 3e-4
    nesterov: bool = False
    gradient_clip: float | None = 5.0
    cutout: float = 0.0
    drop_path: float = 0.0
    auxiliary_weight: float = 0.0
    precision: Precision = "float32"
    compiled: bool = False
    optimizer: Literal["sgd", "adamw"] = "sgd"
    warmup_epochs: int = 0


@dataclass(frozen=True, slots=True)
class SearchScale:
    """Everything that a budget fixes: sizes of the supernet and of the final network, and how both are trained.

    Args:
        supernet_channels, supernet_cells: size of the supernet.
        supernet: its training.
        tuning_epochs: epochs between two decisions of perturbation-based selection.
        final_channels, final_cells: size of the network that is trained at the end.
        final: its training.
        selection_batch_size: images in a batch while candidates are compared; batch norms use its statistics.
        sampled_paths: architectures that are compared after single-path training, of a supernet or of all its leaves.
        splits: levels at which the supernet is split; 0 trains one supernet.
        warmup_epochs, epochs_between_splits, leaf_epochs: of the supernet and its parts, where it is split.
        scoring_batches, scoring_batch_size: training batches for the gradient matching score of an edge, at most, and
            images in each; as many as in training by default.
        finalists_per_leaf: architectures that a leaf proposes after single-path training; otherwise it proposes one.
        halving_epochs: of each proposed architecture in the second round of their comparison; the first needs none.
        max_train_images: images kept of the train and validation halves together; None keeps all.
        max_test_images: images kept for the final test; None keeps all.
        max_image_size: larger images are averaged down to this many pixels a side; None leaves them.
    """

    supernet_channels: int
    supernet_cells: int
    supernet: TrainingRecipe
    tuning_epochs: int
    final_channels: int
    final_cells: int
    final: TrainingRecipe
    selection_batch_size: int = 256
    sampled_paths: int = 100
    splits: int = 1
    warmup_epochs: int = 1
    epochs_between_splits: int = 1
    leaf_epochs: int = 1
    finalists_per_leaf: int = 2
    halving_epochs: int = 2
    scoring_batches: int = 6
    scoring_batch_size: int | None = None
    max_train_images: int | None = None
    max_test_images: int | None = None
    max_image_size: int | None = None


@runtime_checkable
class SearchSpace(Protocol):
    """A set of architectures. Stateless; randomness comes in as an argument."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def paper(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def defaults(self) -> NetworkConfig: ...
    def sample(self, rng: random.Random) -> Architecture: ...
    def mutate(self, architecture: Architecture, rng: random.Random) -> Architecture: ...
    def crossover(self, first: Architecture, second: Architecture, rng: random.Random) -> Architecture: ...
    def validate(self, architecture: Architecture) -> None: ...
    def parse(self, text: str) -> Architecture: ...
    def format(self, architecture: Architecture) -> str: ...
    def to_graph(self, architecture: Architecture, config: NetworkConfig) -> ComputationGraph: ...
    def build(self, architecture: Architecture, config: NetworkConfig, seed: int = 0) -> "torch.nn.Module": ...


@runtime_checkable
class SupportsEnumeration(Protocol):
    """A space that is small enough to be listed."""

    def enumerate(self) -> Iterator[Architecture]: ...


@runtime_checkable
class Resizable(Protocol):
    """A space whose genotypes, not its configuration, say how deep and wide networks are (``sizes``)."""

    def resized(
        self, architecture: Architecture, config: NetworkConfig, *, depth: int | None = None, width: int | None = None
    ) -> tuple[Architecture, NetworkConfig]: ...
    def sizes(self, architecture: Architecture) -> tuple[int, int]: ...


@runtime_checkable
class SupportsCanonicalForm(Protocol):
    """A genotype that can tell which of its isomorphs stands for all of them."""

    def canonical(self) -> Hashable: ...


@runtime_checkable
class SupportsSupernet(Protocol):
    """A space whose architectures are choices on one supergraph.

    ``selection`` names the candidates that an architecture keeps, ``architecture`` goes the other way; ``restrict``
    gives the part of the space inside some candidates, which keep their numbers; ``topology`` names the edges to choose
    on; ``scales`` says what each budget means here (``full`` is the paper's setting).
    """

    @property
    def topology(self) -> "CellTopology": ...
    @property
    def scales(self) -> Mapping[str, SearchScale]: ...
    def supergraph(self, config: NetworkConfig) -> SuperGraph: ...
    def selection(self, architecture: Architecture) -> Selection: ...
    def architecture(self, selection: Selection) -> Architecture: ...
    def restrict(self, allowed: Selection) -> "SupernetSpace": ...


@runtime_checkable
class SupernetSpace(SearchSpace, SupportsSupernet, Protocol):
    """A search space that states a supergraph: what ``nasengine search`` needs."""


@runtime_checkable
class SupportsNamedGenes(Protocol):
    """A space that names its genes for people; any choices together make an architecture (``from_named_genes``)."""

    @property
    def gene_choices(self) -> Mapping[str, Sequence[str | int]]: ...
    def named_genes(self, architecture: Architecture) -> dict[str, str | int]: ...
    def from_named_genes(self, genes: Mapping[str, object]) -> Architecture: ...


@runtime_checkable
class SubnetCost(Protocol):
    """What a network costs: multiply-accumulates of one image, and learned values."""

    @property
    def macs(self) -> int: ...
    @property
    def num_parameters(self) -> int: ...


@runtime_checkable
class SupportsElasticSupernet(Protocol):
    """A space whose largest network holds all others: they use parts of its weights, under the same node names.

    ``elastic_choices`` names what can shrink, such as kernels or depth, in the order in which training lets it shrink.
    ``shrunk`` gives the largest architecture with some choices at their least; ``sample_within`` draws some choices and
    leaves the others as they are in the largest; ``cost`` counts without a graph; ``cost_range`` gives the costs of the
    smallest and of the largest.
    """

    @property
    def elastic_choices(self) -> tuple[str, ...]: ...
    @property
    def scales(self) -> Mapping[str, SearchScale]: ...
    def smallest(self) -> Architecture: ...
    def largest(self) -> Architecture: ...
    def shrunk(self, choices: Collection[str]) -> Architecture: ...
    def sample_within(self, choices: Collection[str], rng: random.Random) -> Architecture: ...
    def cost(self, architecture: Architecture, config: NetworkConfig) -> SubnetCost: ...
    def cost_range(self, config: NetworkConfig) -> tuple[SubnetCost, SubnetCost]: ...


@runtime_checkable
class ElasticSpace(SearchSpace, SupportsElasticSupernet, Protocol):
    """A search space that an elastic supernet holds: what ``nasengine search`` needs where there is no supergraph."""


@dataclass(frozen=True)
class Prediction:
    """Predicted scores: ``mean`` and ``std``, each of shape (num_graphs,)."""

    mean: "numpy.ndarray"
    std: "numpy.ndarray"


@runtime_checkable
class Predictor(Protocol):
    """Scores computation graphs; it never sees a search space."""

    def fit(self, graphs: Sequence[ComputationGraph], targets: Sequence[float]) -> None: ...
    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction: ...


@runtime_checkable
class PoolPredictor(Predictor, Protocol):
    """Predicts before it is fitted: ranks, from 0 to 1, in a pool of networks without labels that ``adapt`` names.

    One that was fitted (``is_fitted``) to labels of the space predicts these, and needs no pool.
    """

    @property
    def is_fitted(self) -> bool: ...
    def adapt(self, pool: Sequence[ComputationGraph]) -> None: ...


@runtime_checkable
class LatencyModel(Protocol):
    """Predicts milliseconds of one image on a device; ``inf`` for networks that do not run there."""

    def predict(self, graphs: Sequence[ComputationGraph]) -> Prediction: ...


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one architecture. ``metrics`` holds units in its names; accuracies are fractions."""

    architecture: Architecture
    metrics: Mapping[str, float]
    failure: str | None = None


@runtime_checkable
class Strategy(Protocol):
    """Proposes architectures and learns from evaluations; owns no loop, model, file or clock."""

    def ask(self, count: int) -> list[Architecture]: ...
    def tell(self, evaluations: Sequence[Evaluation]) -> None: ...


@runtime_checkable
class Evaluator(Protocol):
    """Measures one architecture."""

    def __call__(self, architecture: Architecture) -> Evaluation: ...


@dataclass(frozen=True)
class ExportReport:
    """An exported file and how far it is from the network it came from.

    Args:
        path: the file.
        opset: operator set, read back from the file.
        max_deviation: largest absolute difference between the logits of file and network.
        top1_agreement: share of images for which both name the same class.
        num_images: images that were compared.
    """

    path: Path
    opset: int
    max_deviation: float
    top1_agreement: float
    num_images: int


@runtime_checkable
class Exporter(Protocol):
    """Writes a trained network for a runtime and compares both on ``images``."""

    def __call__(
        self, network: "torch.nn.Module", images: "torch.Tensor", path: Path, metadata: Mapping[str, str]
    ) -> ExportReport: ...


@dataclass
class TaskState:
    """Everything a long task needs to go on: tensors by name, and plain values that JSON can hold."""

    tensors: dict[str, "torch.Tensor"] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Task(Protocol):
    """Long work in steps that can be interrupted between any two of them.

    Running steps ``k`` to the end from ``state()`` as it was after step ``k - 1`` gives the same result, bit for bit,
    as an undisturbed run: all randomness of a step comes from the seed and the step's number. ``num_steps`` may fall
    while the task runs, where it finds that it needs fewer.
    """

    @property
    def num_steps(self) -> int: ...
    def run_step(self, step: int) -> dict[str, Any]: ...
    def state(self) -> TaskState: ...
    def load_state(self, state: TaskState) -> None: ...
