"""One supernet for every space that states a supergraph."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nasengine.architecture import Architecture
from nasengine.errors import ConfigError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.graph.passes import merge_duplicates
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.network import GraphNetwork, Plan, build_functions, build_modules
from nasengine.operations.convolution import Convolution
from nasengine.operations.norm_relu_convolution import NormReluConvolution
from nasengine.protocols import NetworkConfig, SupernetSpace
from nasengine.supernet.choice import ActiveKey, Choice, Mixture, active_key


class Supernet(nn.Module):
    """All candidates of a space in one network with shared weights.

    Candidates that are not active are not computed; parameter-free work that candidates repeat (ReLU, pooling) is
    computed once for each source.

    Args:
        space: the search space.
        config: size of the network.
        seed: where the initial weights come from.
        allowed: candidates that this (sub-)supernet has; all of them by default.
    """

    max_plans = 128

    def __init__(
        self, space: SupernetSpace, config: NetworkConfig, seed: int = 0, allowed: Selection | None = None
    ) -> None:
        super().__init__()
        self.space, self.config = space, config
        supergraph = space.supergraph(config)
        self.allowed: Selection = supergraph.everything() if allowed is None else dict(allowed)
        self.graph = merge_duplicates(supergraph.resolve(self.allowed, keep_mixes=True))
        self.nodes = build_modules(self.graph, seed)
        self.functions = build_functions(self.graph, self.nodes)
        self._fused_functions = _fused(self.graph, self.functions)
        self._edges = {
            node: (operation.attribute("choice"), operation.attribute("candidates"))
            for node, operation in enumerate(self.graph.operations)
            if operation.kind == "mix"
        }
        self._zeros = {
            (key, pick)
            for node, (key, candidates) in self._edges.items()
            for pick, source in zip(candidates, self.graph.inputs[node], strict=True)
            if self.graph.operations[source].kind == "zero" and not self.graph.operations[source].attribute("noise")
        }
        self._plans: OrderedDict[ActiveKey, Plan] = OrderedDict()

    def forward(
        self, x: Float[Tensor, "batch channels height width"], choice: Choice
    ) -> Float[Tensor, "batch num_classes"]:
        """Class scores of a batch of images under a choice of paths; see ``Choice``.

        Raises:
            ConfigError: the choice asks for candidates that this supernet does not have.
        """
        # What is always zero adds nothing to a sum: it is neither computed nor added.
        active = self._without_zeros(self.active_of(choice)) if isinstance(choice, Mixture) else self.active_of(choice)
        plan = self._plan(active)
        (logits,) = plan.run(x, self._fused_functions, mix=_Mixer(self, plan, choice, active))
        return logits

    def run_repeated(
        self,
        x: Float[Tensor, "batch repeated_channels height width"],
        mixture: Mixture,
        functions: Sequence[Callable[..., Tensor]],
        key: ChoiceKey,
        candidates: Sequence[int],
        *,
        hard: bool,
    ) -> Float[Tensor, "batch repeated_classes"]:
        """Scores of a batch whose images hold, in their channels, one repetition for each candidate of one edge.

        On that edge each repetition goes through its own candidate; on all others through the mixture.

        Args:
            x: the images, with all channels of a repetition before those of the next.
            mixture: of all other edges.
            functions: what to call for each node of ``graph``.
            key: the edge.
            candidates: one for each repetition.
            hard: weigh the candidate with 1, not with its mixture weight.
        """
        active = {**self._without_zeros(self.active_of(mixture)), key: candidates}
        plan = self._plan(active)
        mixer = _Mixer(self, plan, mixture, active)

        def mix(node: int, parts: list[Tensor]) -> Tensor:
            if self._edges[node][0] != key:
                return mixer(node, parts)
            chunks = [part.chunk(len(candidates), 1)[place] for place, part in enumerate(parts)]
            if not hard:
                weights = [mixture.weights[key[0]][key[1], pick] for pick in candidates]
                chunks = [chunk * weight for chunk, weight in zip(chunks, weights, strict=True)]
            return torch.cat(chunks, 1)

        (logits,) = plan.run(x, functions, mix=mix)
        return logits

    def active_of(self, choice: Choice) -> Selection:
        """The candidates that a choice computes."""
        if isinstance(choice, Mixture):
            return self.allowed if choice.active is None else choice.active
        if isinstance(choice, Architecture):
            return self.space.selection(choice)
        return choice

    def extract(self, architecture: Architecture) -> GraphNetwork:
        """A network of one architecture with a copy of its weights; in eval mode it computes what the supernet does."""
        graph = self.space.to_graph(architecture, self.config)
        network = GraphNetwork(graph)
        state = self.state_dict()
        missing = [key for key in network.state_dict() if key not in state]
        if missing:
            raise ConfigError(f"supernet: expected an architecture inside its restriction, got one with {missing[0]}")
        _take_weights(network, self)
        return network

    def restrict(self, allowed: Selection) -> "Supernet":
        """A sub-supernet with fewer candidates and its own copy of the weights."""
        smaller = Supernet(self.space, self.config, allowed=allowed)
        _take_weights(smaller, self)
        return smaller

    def candidate_parameters(self, key: ChoiceKey) -> dict[str, nn.Parameter]:
        """Weights that belong to the candidates of one choice, in all cells, by name."""
        prefixes = {
            self.graph.names[node].removesuffix("mix") for node, (owner, _) in self._edges.items() if owner == key
        }
        return {
            name: weight
            for name, weight in self.named_parameters()
            if any(name.startswith(f"nodes.{prefix}") for prefix in prefixes)
        }

    def __deepcopy__(self, memo: dict[int, object]) -> "Supernet":
        copy = Supernet(self.space, self.config, allowed=self.allowed)
        _take_weights(copy, self)
        return copy

    def _without_zeros(self, active: Selection) -> Selection:
        """The same without candidates that are always zero, on edges that have others."""
        return {
            key: [pick for pick in picks if (key, pick) not in self._zeros] or picks for key, picks in active.items()
        }

    def _plan(self, active: Selection) -> Plan:
        key = active_key(active)
        if key not in self._plans:
            self._plans[key] = _make_plan(self.graph, self._edges, active)
            if len(self._plans) > self.max_plans:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return self._plans[key]


def _fused(graph: ComputationGraph, functions: Sequence[Callable[..., Tensor]]) -> list[Callable[..., Tensor]]:
    """Batch norm, ReLU and convolution that nothing else reads, as one: less is kept for the backward pass."""
    uses = Counter(source for sources in graph.inputs for source in sources) + Counter(graph.outputs)
    found = list(functions)
    for node, operation in enumerate(graph.operations):
        if operation.kind != "conv" or operation.groups == 1:
            continue
        (active,) = graph.inputs[node]
        (normed,) = graph.inputs[active] if graph.operations[active].kind == "relu" else (active,)
        norm, conv = functions[normed], functions[node]
        alone = uses[active] == uses[normed] == 1 and normed != active
        if alone and isinstance(norm, nn.BatchNorm2d) and norm.weight is None and isinstance(conv, Convolution):
            found[normed] = found[active] = _pass_on
            found[node] = NormReluConvolution(norm, conv)
    return found


def _pass_on(x: Tensor) -> Tensor:
    return x


def _take_weights(target: nn.Module, source: nn.Module) -> None:
    """Give ``target`` device, precision, mode and, by name, a copy of the weights of ``source``."""
    weight = next(source.parameters())
    target.to(weight.device, weight.dtype).train(source.training)
    state = source.state_dict()
    target.load_state_dict({key: state[key] for key in target.state_dict()})


def _make_plan(graph: ComputationGraph, edges: dict, active: Selection) -> Plan:
    """Nodes that the outputs need when every edge has only its active candidates."""
    narrowed: dict[int, tuple[int, ...]] = {}
    for node, (key, candidates) in edges.items():
        picks = tuple(active.get(key, ()))
        unknown = [pick for pick in picks if pick not in candidates]
        if unknown:
            raise ConfigError(f"supernet choice {key}: expected candidates among {candidates}, got {unknown}")
        narrowed[node] = tuple(graph.inputs[node][candidates.index(pick)] for pick in picks)
    for node, operation in enumerate(graph.operations):
        if operation.kind == "add":
            sources = tuple(source for source in graph.inputs[node] if narrowed.get(source) != ())
            narrowed[node] = sources or graph.inputs[node][:1]
    needed: set[int] = set()
    pending = list(graph.outputs)
    while pending:
        node = pending.pop()
        if narrowed.get(node) == ():
            raise ConfigError(
                f"supernet edge {graph.names[node].removesuffix('/mix')}: expected a candidate, since no other edge "
                "into its node has one"
            )
        if node not in needed:
            needed.add(node)
            pending.extend(narrowed.get(node, graph.inputs[node]))
    return Plan(graph, sorted(needed), narrowed)


class _Mixer:
    """Adds up the candidates of an edge with the weights of a choice."""

    def __init__(self, supernet: Supernet, plan: Plan, choice: Choice, active: Selection) -> None:
        self.edges, self.plan, self.active = supernet._edges, plan, active
        self.kinds = [operation.kind for operation in supernet.graph.operations]
        # One unbind a kind: indexing a tensor edge by edge would cost an autograd node each.
        self.rows = (
            {kind: [row.unbind(0) for row in rows.unbind(0)] for kind, rows in choice.weights.items()}
            if isinstance(choice, Mixture)
            else None
        )

    def __call__(self, node: int, parts: list[Tensor]) -> Tensor:
        (kind, edge), _ = self.edges[node]
        if self.rows is None:
            return parts[0] if len(parts) == 1 else torch.stack(parts).mean(0)
        weights = [self.rows[kind][edge][pick] for pick in self.active[(kind, edge)]]
        total = None
        for weight, part in zip(weights, parts, strict=True):
            total = part * weight if total is None else torch.addcmul(total, part, weight)
        assert total is not None
        return total
