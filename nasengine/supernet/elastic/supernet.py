"""A supernet with the weights of the largest network of a space, of which all others use a part."""

from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph, Operation
from nasengine.graph.supergraph import Selection
from nasengine.network import GraphNetwork, Plan, build_modules, module_key
from nasengine.operations.primitives import make_function
from nasengine.protocols import ElasticSpace, NetworkConfig
from nasengine.splittable_space import SplittableElasticSpace
from nasengine.supernet.elastic.kernels import KernelTransform
from nasengine.supernet.elastic.parts import NodePart, make_part

Images = Float[Tensor, "batch channels height width"]
Logits = Float[Tensor, "batch num_classes"]


class ElasticSupernet(nn.Module):
    """Networks of all sizes in one (Cai et al., 2020, arXiv 1908.09791, "once-for-all").

    A subnet is a graph whose nodes with weights have the names of nodes of the largest network. Each takes the leading
    part of their weights along every axis, and smaller kernels by ``KernelTransform``; blocks that a subnet skips are
    not in its graph, and resizing has no weights. Nothing here knows what a space chooses.

    Args:
        space: the search space.
        config: size of the networks.
        seed: where the initial weights come from.
        learns_kernels: smaller kernels go through learned matrices; otherwise they are plain centres.
        whole: the space whose largest network has the weights, where ``space`` is a part of it.

    >>> import random
    >>> from search_spaces.mobilenet import MOBILENET
    >>> supernet = ElasticSupernet(MOBILENET, NetworkConfig(10, (1, 8, 8), channels=8))
    >>> supernet(torch.zeros(2, 1, 8, 8), MOBILENET.smallest()).shape
    torch.Size([2, 10])
    """

    max_subnets = 128

    def __init__(
        self,
        space: ElasticSpace,
        config: NetworkConfig,
        seed: int = 0,
        *,
        learns_kernels: bool = True,
        whole: ElasticSpace | None = None,
    ) -> None:
        super().__init__()
        self.space, self.config, self.learns_kernels = space, config, learns_kernels
        self.whole = whole = whole or space
        self.graph = whole.to_graph(whole.largest(), config)
        self.corners = {choice: whole.to_graph(whole.shrunk((choice,)), config) for choice in whole.elastic_choices}
        self.nodes = build_modules(self.graph, seed)
        self.transforms = nn.ModuleDict(
            {
                module_key(name): KernelTransform(kernel, smallest, is_learned=learns_kernels)
                for name, (kernel, smallest) in _elastic_kernels(self.graph, list(self.corners.values())).items()
            }
        )
        self._subnets: OrderedDict[Architecture, _Subnet] = OrderedDict()
        # Nodes have few sizes each, which subnets share.
        self._parts: dict[tuple[str, Operation], tuple[NodePart, Callable[[Tensor], Tensor]]] = {}

    def forward(self, x: Images, architecture: Architecture) -> Logits:
        """Class scores of a batch of images by one subnet.

        Raises:
            ConfigError: the subnet is no part of the largest network.
        """
        subnet = self._subnet(architecture)
        (logits,) = subnet.plan.run(x, subnet.functions)
        return logits

    @torch.no_grad()
    def extract(self, architecture: Architecture) -> GraphNetwork:
        """A network of its own that computes what the supernet does for an architecture; weights are copied."""
        subnet = self._subnet(architecture)
        network = GraphNetwork(subnet.plan.graph)
        weight = next(self.parameters())
        network.to(weight.device, weight.dtype).train(self.training)
        network.load_state_dict(
            {
                f"nodes.{key}.{name}": value
                for key, part in subnet.parts.items()
                for name, value in part.tensors().items()
            }
        )
        return network

    @property
    def splittable_space(self) -> SplittableElasticSpace:
        """The space, with its layers.

        Raises:
            ConfigError: it has none that could be told apart.
        """
        return _splittable(self.space)

    @property
    def allowed(self) -> Selection:
        """Candidates of each layer that this (sub-)supernet has."""
        return self.splittable_space.allowed

    def restrict(self, allowed: Selection) -> "ElasticSupernet":
        """A sub-supernet with some of the candidates and a copy of all weights."""
        return self._copy(self.splittable_space.restrict(allowed))

    def __deepcopy__(self, memo: dict[int, object]) -> "ElasticSupernet":
        return self._copy(self.space)

    def _copy(self, space: ElasticSpace) -> "ElasticSupernet":
        copy = ElasticSupernet(space, self.config, learns_kernels=self.learns_kernels, whole=self.whole)
        weight = next(self.parameters())
        copy.to(weight.device, weight.dtype).train(self.training)
        copy.load_state_dict(self.state_dict())
        return copy

    def _subnet(self, architecture: Architecture) -> "_Subnet":
        """The subnets that were used last are kept, since most are used for several batches."""
        if architecture not in self._subnets:
            self._subnets[architecture] = self._cut(self.space.to_graph(architecture, self.config))
            if len(self._subnets) > self.max_subnets:
                self._subnets.popitem(last=False)
        self._subnets.move_to_end(architecture)
        return self._subnets[architecture]

    def _cut(self, graph: ComputationGraph) -> "_Subnet":
        operations = dict(zip(self.graph.names, self.graph.operations, strict=True))
        parts: dict[str, NodePart] = {}
        functions: list[Callable[..., Tensor]] = []
        for operation, name in zip(graph.operations, graph.names, strict=True):
            key = module_key(name)
            if not _has_weights(operation):
                functions.append(_not_called if operation.kind == "input" else make_function(operation))
                continue
            if (key, operation) not in self._parts:
                _check(operation, operations.get(name), name)
                part = NodePart(self.nodes[key], operation, self._transform(key))
                self._parts[key, operation] = part, make_part(part)
            parts[key], function = self._parts[key, operation]
            functions.append(function)
        return _Subnet(Plan(graph, range(len(graph))), functions, parts)

    def _transform(self, key: str) -> KernelTransform | None:
        if key not in self.transforms:
            return None
        found = self.transforms[key]
        assert isinstance(found, KernelTransform)
        return found


class _Subnet:
    """How a subnet is computed."""

    def __init__(self, plan: Plan, functions: list[Callable[..., Tensor]], parts: dict[str, NodePart]) -> None:
        self.plan, self.functions, self.parts = plan, functions, parts


def _splittable(space: ElasticSpace) -> SplittableElasticSpace:
    if not isinstance(space, SplittableElasticSpace):
        raise ConfigError(f"--splits: expected a space that names its layers, got {space.name}; leave it out")
    return space


_KINDS = frozenset({"conv", "linear", "batch_norm", "layer_norm"})


def _has_weights(operation: Operation) -> bool:
    return operation.kind in _KINDS or bool(operation.attribute("learned"))


def _check(operation: Operation, largest: Operation | None, name: str) -> None:
    """See that a node is a part of one of the largest network."""
    if largest is None:
        raise ConfigError(f"elastic supernet: expected nodes of the largest network, got {name}, which it has not")
    same = ("kind", "stride", "dilation", "bias")
    fits = all(getattr(operation, field) == getattr(largest, field) for field in same)
    sizes = zip(
        (*operation.output_shape[:1], *operation.kernel), (*largest.output_shape[:1], *largest.kernel), strict=True
    )
    if not fits or any(size > limit for size, limit in sizes):
        raise ConfigError(f"elastic supernet, {name}: expected a part of {largest}, got {operation}")


def _sizes(operation: Operation) -> tuple[int, ...]:
    """Channels and kernel."""
    return operation.output_shape[0], *operation.kernel


def _elastic_kernels(
    largest: ComputationGraph, corners: list[ComputationGraph]
) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    """Largest and smallest kernel of each convolution that has several."""
    found: dict[str, list[tuple[int, int]]] = {}
    for graph in (largest, *corners):
        for operation, name in zip(graph.operations, graph.names, strict=True):
            if operation.kind == "conv":
                found.setdefault(name, []).append(operation.kernel)
    return {name: (max(sizes), min(sizes)) for name, sizes in found.items() if len(set(sizes)) > 1}


def _not_called(*_: Tensor) -> Tensor:
    raise ConfigError("elastic supernet: expected inputs to be given by the plan")
