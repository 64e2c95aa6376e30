"""From a computation graph to a trainable network."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nasengine.errors import GraphError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.operations.primitives import initialize_, make_function, make_module
from nasengine.optimization import own_generator


class GraphNetwork(nn.Module):
    """Runs a computation graph node by node and frees every value after its last use.

    Weights are stored under the names of the nodes, so that networks of one search space exchange them by name.

    Args:
        graph: what to compute.
        seed: where the initial weights come from.

    >>> from nasengine.graph import GraphBuilder
    >>> builder = GraphBuilder()
    >>> conv = builder.add("conv", builder.input((3, 8, 8)), name="stem", channels=4, kernel=3)
    >>> network = GraphNetwork(builder.build(conv), seed=0)
    >>> network(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 4, 6, 6])
    """

    def __init__(self, graph: ComputationGraph, seed: int = 0) -> None:
        super().__init__()
        self.graph = graph
        self.nodes = build_modules(graph, seed)
        self._functions = build_functions(graph, self.nodes)
        self._plan = Plan(graph, range(len(graph)))
        self._kept_summands: frozenset[tuple[int, int]] | None = None

    def forward(
        self, x: Tensor, drop_path: float = 0.0, generator: torch.Generator | None = None
    ) -> Tensor | tuple[Tensor, ...]:
        """Values of the outputs of the graph: one tensor, or a tuple where there are several.

        Args:
            x: images, shape (batch, channels, height, width).
            drop_path: chance that a summand of a cell's node is dropped for an image (Larsson et al., 2017, arXiv
                1605.07648); identities and shortcuts are never dropped. Only while training.
            generator: source of that chance, on the CPU.
        """
        drop = None
        if drop_path > 0 and self.training:
            if self._kept_summands is None:
                self._kept_summands = _kept_summands(self.graph)
            drop = _DropPath(self._kept_summands, drop_path, own_generator(generator))
        outputs = self._plan.run(x, self._functions, drop)
        return outputs[0] if len(outputs) == 1 else outputs

    def replace_modules(self, modules: Mapping[str, nn.Module]) -> None:
        """Let other modules, such as adapted layers, compute some nodes; keys are those of ``nodes``."""
        self.nodes.update(modules)
        self._functions = build_functions(self.graph, self.nodes)


def build_modules(graph: ComputationGraph, seed: int) -> nn.ModuleDict:
    """One initialised module for each node with weights or statistics, by node name."""
    modules = nn.ModuleDict()
    generator = torch.Generator().manual_seed(seed)
    for operation, name in zip(graph.operations, graph.names, strict=True):
        with torch.device("meta"):
            module = make_module(operation)
        if module is not None:
            module = module.to_empty(device="cpu")
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
            initialize_(module, generator)
            modules[module_key(name)] = _in_channels_last(module)
    return modules


def _in_channels_last(module: nn.Module) -> nn.Module:
    """Lay out four-dimensional weights as convolutions on images in this layout want them."""
    for weight in module.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


def module_key(name: str) -> str:
    """Key of a node's module; module names must not contain dots."""
    return name.replace(".", "/")


def build_functions(graph: ComputationGraph, modules: nn.ModuleDict) -> list[Callable[..., Tensor]]:
    """What to call for each node: its module, or the function of its kind."""
    functions: list[Callable[..., Tensor]] = []
    for operation, name in zip(graph.operations, graph.names, strict=True):
        key = module_key(name)
        if key in modules:
            functions.append(modules[key])
        elif operation.kind in ("input", "mix"):
            functions.append(_not_called)
        else:
            functions.append(make_function(operation))
    return functions


def _channels_last(x: Tensor) -> Tensor:
    """The memory layout in which convolutions are fastest, on CPUs and GPUs; the values stay the same."""
    if x.ndim != 4 or torch.compiler.is_exporting():
        return x
    return x.contiguous(memory_format=torch.channels_last)


def _not_called(*_: Tensor) -> Tensor:
    raise GraphError("network: expected input and mix nodes to be computed by the plan")


class _DropPath:
    """Zeroes whole summands of additions for some images, and scales the others up."""

    def __init__(self, kept: frozenset[tuple[int, int]], chance: float, generator: torch.Generator | None) -> None:
        self.kept, self.keep, self.generator = kept, 1.0 - chance, generator

    def __call__(self, node: int, source: int, value: Tensor) -> Tensor:
        if (node, source) in self.kept:
            return value
        shape = (value.shape[0], *(1 for _ in value.shape[1:]))
        kept = torch.rand(shape, generator=self.generator) < self.keep
        return value * kept.to(value.device, value.dtype) / self.keep


def _kept_summands(graph: ComputationGraph) -> frozenset[tuple[int, int]]:
    """Summands that are never dropped: identities, and shortcuts, from which other summands of the sum are computed."""
    kinds = [operation.kind for operation in graph.operations]
    found = set()
    for node, sources in enumerate(graph.inputs):
        if kinds[node] == "add":
            found |= {(node, source) for source in sources if kinds[source] == "identity"}
            found |= {(node, source) for source in sources if _feeds(graph, source, sources)}
    return frozenset(found)


def _feeds(graph: ComputationGraph, source: int, summands: Sequence[int]) -> bool:
    """Whether another summand is computed from this one."""
    open_nodes, seen = [other for other in summands if other != source], set()
    while open_nodes:
        node = open_nodes.pop()
        if node == source:
            return True
        if node > source and node not in seen:  # nodes before the source cannot be computed from it
            seen.add(node)
            open_nodes.extend(graph.inputs[node])
    return False


class Plan:
    """The order in which a subset of a graph's nodes is computed, and when each value can be freed.

    Args:
        graph: the graph.
        nodes: the nodes to compute, ascending; all that they need must be among them.
        inputs: for nodes whose inputs are to be narrowed (mix nodes), the slots that stay.
    """

    def __init__(
        self, graph: ComputationGraph, nodes: Sequence[int], inputs: Mapping[int, tuple[int, ...]] | None = None
    ) -> None:
        narrowed = inputs or {}
        self.graph, self.nodes = graph, tuple(nodes)
        self.sources = {node: narrowed.get(node, graph.inputs[node]) for node in self.nodes}
        last_use = {source: node for node in self.nodes for source in self.sources[node]}
        self.freed_after: dict[int, list[int]] = {}
        for source, node in last_use.items():
            if source not in graph.outputs:
                self.freed_after.setdefault(node, []).append(source)
        self._is_output = set(graph.outputs)
        self._dead = {node for node in self.nodes if node not in last_use and node not in self._is_output}

    def run(
        self,
        x: Tensor,
        functions: Sequence[Callable[..., Tensor]],
        drop: Callable[[int, int, Tensor], Tensor] | None = None,
        mix: Callable[[int, list[Tensor]], Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        """Compute the outputs of the graph for a batch ``x``."""
        values: dict[int, Tensor] = {}
        kinds = self.graph.operations
        for node in self.nodes:
            if node in self._dead:
                continue
            kind = kinds[node].kind
            parts = [values[source] for source in self.sources[node]]
            if kind == "input":
                values[node] = _channels_last(x)
            elif kind == "mix" and mix is not None:
                values[node] = mix(node, parts)
            elif kind == "add" and drop is not None:
                dropped = [drop(node, source, part) for source, part in zip(self.sources[node], parts, strict=True)]
                values[node] = functions[node](*dropped)
            else:
                values[node] = functions[node](*parts)
            for source in self.freed_after.get(node, ()):
                del values[source]
        return tuple(values[output] for output in self.graph.outputs)
