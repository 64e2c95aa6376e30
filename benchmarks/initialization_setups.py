"""What the families of ``nasengine bench init`` are made of: architecture, sizes, data, training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.data import ImageDataset
from nasengine.graph import ComputationGraph
from nasengine.initialization.sizes import resized
from nasengine.protocols import NetworkConfig, SearchSpace, TrainingRecipe

NASBENCH201_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The best cell of NAS-Bench-201 on CIFAR-10."""
NUM_CIFAR_IMAGES, NUM_CIFAR_TEST_IMAGES, CIFAR_SIZE, CIFAR_EPOCHS = 2_000, 2_000, 16, 10
"""So that a seed takes about 20 minutes of one core."""


@dataclass(frozen=True, eq=False)
class Setup:
    """One family.

    Args:
        name: of the setup.
        space, genotype: the architecture.
        channels: of convolutional networks.
        depths: of the family.
        auxiliary_depth: of the network whose stages share weights, where it has one depth.
        stages: see ``stages_of``.
        recipe: of every training from scratch.
        dataset: images.
        teacher: setup of the teacher, which is trained from scratch first; None takes the middle depth of this one.
        distillation_weight, temperature: of all arms that are taught.
        tuning_rate: learning rate of inherited networks, as a share of the recipe's.
    """

    name: str
    space: str
    genotype: str
    channels: int
    depths: tuple[int, ...]
    auxiliary_depth: int
    stages: int | tuple[int, ...]
    recipe: TrainingRecipe
    dataset: ImageDataset
    teacher: "Setup | None" = None
    distillation_weight: float = 0.9
    temperature: float = 2.0
    tuning_rate: float = 0.2

    @property
    def search_space(self) -> SearchSpace:
        """The space of the architecture."""
        found: SearchSpace = registry.load("search space", self.space)
        return found

    @property
    def architecture(self) -> Architecture:
        """The architecture at its own depth."""
        return self.search_space.parse(self.genotype)

    @property
    def config(self) -> NetworkConfig:
        """Sizes but the depth."""
        data = self.dataset
        return NetworkConfig(data.num_classes, data.image_shape, self.channels, 1)

    def graph(self, depth: int) -> ComputationGraph:
        """The architecture at a depth."""
        space = self.search_space
        return space.to_graph(*resized(space, self.architecture, self.config, depth=depth))

    @property
    def digest(self) -> str:
        """Changes with any setting."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "dataset"}
        values |= {"teacher": "" if self.teacher is None else self.teacher.digest, "images": len(self.dataset.train)}
        return hashlib.sha256(repr(values).encode()).hexdigest()[:12]

    @property
    def own_depth(self) -> int:
        """Depth of a teacher of this setup."""
        return self.depths[len(self.depths) // 2]


def setups(names: Sequence[str], digits: ImageDataset, cifar: ImageDataset | None, epochs: int | None) -> list[Setup]:
    """Setups by name.

    Args:
        names: ``nasbench201-digits``, ``transformer-digits``, ``nasbench201-cifar10``.
        digits: all of it is used.
        cifar: 2,000 training images of 16x16 pixels are used, and as many for the test.
        epochs: of trainings from scratch, instead of each setup's own.
    """
    sgd = TrainingRecipe(epochs=20, batch_size=64, learning_rate=0.1, weight_decay=5e-4, nesterov=True)
    cell = Setup("nasbench201-digits", "nasbench201", NASBENCH201_CELL, 8, tuple(range(1, 11)), 10, 1, sgd, digits)
    adamw = TrainingRecipe(
        epochs=40, batch_size=64, learning_rate=1e-3, weight_decay=0.05, optimizer="adamw", warmup_epochs=3
    )
    transformer = Setup(
        "transformer-digits", "vision_transformer", "depth=12,width=32,heads=2,ratio=2,patch=2", 1,
        tuple(range(6, 16)), 16, (3, 3, 4, 3, 3), adamw, digits, teacher=cell, distillation_weight=1.0,
        temperature=1.0, tuning_rate=0.2,
    )  # fmt: skip
    known = {"nasbench201-digits": cell, "transformer-digits": transformer}
    if cifar is not None:
        small = cifar.reduced(NUM_CIFAR_IMAGES, NUM_CIFAR_TEST_IMAGES, CIFAR_SIZE, 0)
        recipe = replace(sgd, epochs=CIFAR_EPOCHS)
        known["nasbench201-cifar10"] = replace(cell, name="nasbench201-cifar10", dataset=small, recipe=recipe)
    return [known[name] if epochs is None else _shortened(known[name], epochs) for name in names]


def _shortened(setup: Setup, epochs: int) -> Setup:
    recipe = replace(setup.recipe, epochs=epochs, warmup_epochs=min(setup.recipe.warmup_epochs, epochs // 2))
    teacher = None if setup.teacher is None else _shortened(setup.teacher, epochs)
    return replace(setup, recipe=recipe, teacher=teacher)
