"""A computation graph in which some places still have several candidate operations.

A search space states one such graph for a given size of network. Picking one candidate everywhere gives the
computation graph of an architecture; keeping all of them gives the graph of the supernet. Both come from the same
steps, so their nodes carry the same names, and weights move between them by name.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nasengine.errors import GraphError
from nasengine.graph.builder import make_operation
from nasengine.graph.computation_graph import ComputationGraph, Operation, Shape

ChoiceKey = tuple[str, int]
"""(kind of cell, index of the edge in it); cells of one kind share their choices."""

Selection = Mapping[ChoiceKey, Sequence[int]]
"""For every choice the candidates that stay; none of them drops the edge."""


@dataclass(frozen=True)
class ChoiceStep:
    """An edge with candidate operations.

    Args:
        key: which choice decides here.
        source: the step that feeds the edge.
        bodies: one graph for each candidate: node 0 is its input, the last one its output.
        candidates: names of the candidates.
        name: prefix of the names of all nodes that come from here.
    """

    key: ChoiceKey
    source: int
    bodies: tuple[ComputationGraph, ...]
    candidates: tuple[str, ...]
    name: str

    @cached_property
    def body_names(self) -> tuple[tuple[str, ...], ...]:
        """Full names of the nodes of each body, its input left out."""
        pairs = zip(self.candidates, self.bodies, strict=True)
        return tuple(tuple(f"{self.name}/{candidate}/{node}" for node in body.names[1:]) for candidate, body in pairs)


@dataclass(frozen=True)
class _OperationStep:
    operation: Operation
    sources: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class _SumStep:
    """Sum of those sources that are still there."""

    sources: tuple[int, ...]
    name: str


@dataclass(frozen=True)
class SuperGraph:
    """Steps in order, each an operation, a sum, or an edge with candidates."""

    steps: tuple[_OperationStep | _SumStep | ChoiceStep, ...]
    outputs: tuple[int, ...]

    @property
    def choices(self) -> dict[ChoiceKey, tuple[str, ...]]:
        """Names of the candidates of every choice."""
        return {step.key: step.candidates for step in self.steps if isinstance(step, ChoiceStep)}

    def everything(self) -> Selection:
        """The selection that keeps every candidate."""
        return {key: tuple(range(len(names))) for key, names in self.choices.items()}

    def resolve(self, selected: Selection, keep_mixes: bool = False) -> ComputationGraph:
        """The computation graph that remains when every choice keeps only ``selected[key]``.

        Where several candidates stay, a ``mix`` node adds them up; its attributes ``choice`` and ``candidates`` say
        whose weights it takes.

        Args:
            selected: candidates that stay, by index.
            keep_mixes: put a ``mix`` node also where a single candidate stays, as supernets need it.
        """
        return _Resolution(keep_mixes).run(self, selected)


class _Resolution:
    """One walk over the steps of a supergraph, collecting the nodes of the resulting graph."""

    def __init__(self, keep_mixes: bool) -> None:
        self.keep_mixes = keep_mixes
        self.operations: list[Operation] = []
        self.inputs: list[tuple[int, ...]] = []
        self.names: list[str] = []

    def run(self, supergraph: SuperGraph, selected: Selection) -> ComputationGraph:
        place: list[int | None] = []
        for step in supergraph.steps:
            if isinstance(step, _OperationStep):
                place.append(self._append(step.operation, _all_there(place, step), step.name))
            elif isinstance(step, ChoiceStep):
                place.append(self._choose(step, place, tuple(selected[step.key])))
            else:
                found = [place[source] for source in step.sources]
                place.append(self._sum(tuple(source for source in found if source is not None), step.name))
        outputs = tuple(_there(place, output, "output") for output in supergraph.outputs)
        return ComputationGraph(tuple(self.operations), tuple(self.inputs), outputs, tuple(self.names))

    def _append(self, operation: Operation, sources: tuple[int, ...], name: str) -> int:
        self.operations.append(operation)
        self.inputs.append(sources)
        self.names.append(name)
        return len(self.operations) - 1

    def _sum(self, sources: tuple[int, ...], name: str, kind: str = "add", settings: tuple = ()) -> int:
        if not sources:
            raise GraphError(f"graph node {name}: expected at least one edge into it, got none")
        if len(sources) == 1 and not (kind == "mix" and self.keep_mixes):
            return sources[0]
        shapes = tuple(self.operations[source].output_shape for source in sources)
        return self._append(make_operation(kind, shapes, settings), sources, name)

    def _choose(self, step: ChoiceStep, place: list[int | None], picks: tuple[int, ...]) -> int | None:
        if not picks:
            return None
        source = _there(place, step.source, step.name)
        results = tuple(self._splice(step.bodies[pick], step.body_names[pick], source) for pick in picks)
        return self._sum(results, f"{step.name}/mix", "mix", (("candidates", picks), ("choice", step.key)))

    def _splice(self, body: ComputationGraph, names: tuple[str, ...], source: int) -> int:
        if len(body.operations) == 1:  # a candidate that does nothing has no node of its own
            return source
        shift = len(self.operations) - 1
        self.operations.extend(body.operations[1:])
        self.names.extend(names)
        self.inputs.extend(tuple([node + shift if node else source for node in row]) for row in body.inputs[1:])
        return len(self.operations) - 1


def _there(place: list[int | None], step: int, name: str) -> int:
    """Node that a step became."""
    node = place[step]
    if node is None:
        raise GraphError(f"graph node {name}: expected all of its inputs, got one that was dropped")
    return node


def _all_there(place: list[int | None], step: _OperationStep) -> tuple[int, ...]:
    return tuple([_there(place, source, step.name) for source in step.sources])


@dataclass
class SuperGraphBuilder:
    """Collects steps; every method returns the index of the step that it adds."""

    _steps: list[_OperationStep | _SumStep | ChoiceStep] = field(default_factory=list)
    _shapes: list[Shape] = field(default_factory=list)

    def input(self, shape: Shape) -> int:
        """Entry of the images."""
        return self._append(_OperationStep(Operation("input", (), shape), (), "input"), shape)

    def add(self, kind: str, *sources: int, name: str, **settings: Hashable) -> int:
        """A fixed operation; arguments as in GraphBuilder.add."""
        shapes = tuple(self._shapes[source] for source in sources)
        operation = make_operation(kind, shapes, tuple(settings.items()))
        return self._append(_OperationStep(operation, sources, name), operation.output_shape)

    def body(self, body: ComputationGraph, source: int, name: str) -> int:
        """A fixed subgraph, written as the body of a candidate is."""
        place = [source]
        for operation, sources, label in zip(body.operations[1:], body.inputs[1:], body.names[1:], strict=True):
            step = _OperationStep(operation, tuple(place[node] for node in sources), f"{name}/{label}")
            place.append(self._append(step, operation.output_shape))
        return place[-1]

    def choose(self, key: ChoiceKey, source: int, bodies: Mapping[str, ComputationGraph], name: str) -> int:
        """An edge whose operation is to be chosen among ``bodies``."""
        step = ChoiceStep(key, source, tuple(bodies.values()), tuple(bodies), name)
        return self._append(step, step.bodies[0].operations[-1].output_shape)

    def sum(self, sources: Sequence[int], name: str) -> int:
        """Sum of edges, some of which may be dropped."""
        return self._append(_SumStep(tuple(sources), name), self._shapes[sources[0]])

    def shape(self, step: int) -> Shape:
        """Output shape of an earlier step."""
        return self._shapes[step]

    def build(self, *outputs: int) -> SuperGraph:
        """The finished supergraph."""
        return SuperGraph(tuple(self._steps), outputs)

    def _append(self, step: _OperationStep | _SumStep | ChoiceStep, shape: Shape) -> int:
        self._steps.append(step)
        self._shapes.append(shape)
        return len(self._steps) - 1
