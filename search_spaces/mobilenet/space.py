"""MobileNet spaces with any layout, and once-for-all; ``proxylessnas`` is in ``chain``.

``mobilenet`` (Cai et al., 2020, arXiv 1908.09791, "once-for-all"): the first two to four blocks of five stages of
MobileNetV3 (Howard et al., 2019, arXiv 1905.02244), and the resolution. Once-for-all draws it from 128, 132, ..., 224;
here it is 128, 160, 192 or 224, which stay four different sizes where images have 8 pixels a side; a layout may state
others.

``config.channels`` is the width of the stem; all others scale with it. ``config.cells`` has no meaning here: depth is
the genotype's, up to the layout's. Where images are small, the first strides become 1 (``layout.fitted``).
"""

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

from nasengine.architecture import Architecture
from nasengine.protocols import NetworkConfig, SearchScale
from search_spaces.mobilenet.costs import NetworkCost, cost_table, largest_genotype, smallest_genotype
from search_spaces.mobilenet.elastic import elastic_choices, sampled_genotype, shrunk_genotype
from search_spaces.mobilenet.genotype_json import format_json
from search_spaces.mobilenet.layout import MobileLayout, Stage
from search_spaces.mobilenet.named_genes import gene_choices, genotype_of, named_genes
from search_spaces.mobilenet.network import mobile_graph
from search_spaces.mobilenet.rules import MobileRules
from search_spaces.mobilenet.scales import ELASTIC_SCALES
from search_spaces.structured_space import GenotypeRules, StructuredSpace

IMAGENET = (3, 224, 224)
Space = TypeVar("Space", bound="MobileSpace")


@dataclass(frozen=True)
class MobileSpace(StructuredSpace):
    """Implements the SearchSpace protocol.

    Args:
        layout: stages and choices.
    """

    layout: MobileLayout

    def with_layout(self: Space, layout: MobileLayout) -> Space:
        """The space with other stages or choices, such as fewer blocks or fixed strides, under the same name.

        >>> small = MOBILENET.with_layout(replace(MOBILENET.layout, stages=MOBILENET.layout.stages[:2], min_blocks=1))
        >>> MOBILENET.size > small.size
        True
        """
        rules = MobileRules(layout, self.name)
        return replace(
            self, layout=layout, size=rules.size, rules=rules_of(rules), to_graph_of=partial(mobile_graph, layout)
        )

    def cost(self, architecture: Architecture, config: NetworkConfig) -> NetworkCost:
        """Multiply-accumulates and parameters, equal to those of the graph, in microseconds."""
        return cost_table(self.layout, config).of(self._genotype(architecture))

    def smallest(self) -> Architecture:
        """The architecture with the fewest multiply-accumulates and parameters, of any size of network."""
        return Architecture(self.name, smallest_genotype(self.layout))

    def largest(self) -> Architecture:
        """The architecture with the most multiply-accumulates and parameters."""
        return Architecture(self.name, largest_genotype(self.layout))

    def cost_range(self, config: NetworkConfig) -> tuple[NetworkCost, NetworkCost]:
        """Costs of the smallest and of the largest architecture: no limit beyond them makes sense.

        >>> [found.macs // 10**6 for found in MOBILENET.cost_range(MOBILENET.defaults)]
        [41, 566]
        """
        return self.cost(self.smallest(), config), self.cost(self.largest(), config)

    def to_json(self, architecture: Architecture) -> str:
        """JSON of an architecture, which ``parse`` reads as well."""
        return format_json(self._genotype(architecture))

    @property
    def gene_choices(self) -> dict[str, tuple[str | int, ...]]:
        """What each gene may be: the blocks, by stage and place, and the resolution."""
        return gene_choices(self.layout)

    def named_genes(self, architecture: Architecture) -> dict[str, str | int]:
        """The choices that an architecture makes.

        >>> genes = MOBILENET.named_genes(MOBILENET.smallest())
        >>> genes["stage 4 block 1"], genes["stage 4 block 3"], genes["resolution"]
        ('k3e3', 'skip', 128)
        """
        return named_genes(self.layout, self._genotype(architecture))

    def from_named_genes(self, genes: Mapping[str, object]) -> Architecture:
        """The architecture that has these genes; other entries do not matter.

        Raises:
            GenotypeError: a gene is missing, or they make no architecture of the space.
        """
        found = Architecture(self.name, genotype_of(self.layout, genes, self.name))
        self.validate(found)
        return found


@dataclass(frozen=True)
class ElasticMobileSpace(MobileSpace):
    """A space whose largest network is trained as an elastic supernet; implements the ElasticSpace protocol.

    Args:
        scales: what each budget means here.
    """

    scales: Mapping[str, SearchScale] = field(default_factory=dict)

    @property
    def elastic_choices(self) -> tuple[str, ...]:
        """What can shrink, in the order of training."""
        return elastic_choices(self.layout)

    def shrunk(self, choices: Collection[str]) -> Architecture:
        """The largest architecture with some choices at their least.

        >>> MOBILENET.shrunk(MOBILENET.elastic_choices) == MOBILENET.smallest()
        True
        """
        return Architecture(self.name, shrunk_genotype(self.layout, choices))

    def sample_within(self, choices: Collection[str], rng: random.Random) -> Architecture:
        """Draw some choices; the others are as in the largest architecture."""
        return Architecture(self.name, sampled_genotype(self.layout, choices, rng))


def rules_of(rules: MobileRules) -> GenotypeRules:
    """The rules as a StructuredSpace takes them."""
    return GenotypeRules(rules.sample, rules.mutate, rules.cross, rules.fault, rules.parse, rules.format)


def _settings(layout: MobileLayout, **texts: Any) -> dict[str, Any]:
    rules = MobileRules(layout, texts["name"])
    defaults = NetworkConfig(1000, IMAGENET, layout.stem_channels, cells=1)
    graph_of = partial(mobile_graph, layout)
    own = {"size": rules.size, "rules": rules_of(rules), "to_graph_of": graph_of, "defaults": defaults}
    return {"layout": layout, **own, **texts}


_ONCE_FOR_ALL = MobileLayout(
    (
        Stage(24, stride=2, activation="relu"),
        Stage(40, stride=2, activation="relu", squeezes=True),
        Stage(80, stride=2, activation="hard_swish"),
        Stage(112, activation="hard_swish", squeezes=True),
        Stage(160, stride=2, activation="hard_swish", squeezes=True),
    ),
    expansions=(3, 4, 6),
    min_blocks=2,
    resolutions=(128, 160, 192, 224),
    stem_channels=16,
    stem_activation="hard_swish",
    head_channels=960,
    feature_channels=1280,
    activation="hard_swish",
)

MOBILENET = ElasticMobileSpace(
    **_settings(
        _ONCE_FOR_ALL,
        name="mobilenet",
        title="Once-for-all, MobileNetV3 of elastic depth, kernels, widths and resolution",
        paper="Cai et al., 2020, arXiv 1908.09791",
    ),
    scales=ELASTIC_SCALES,
)
