"""NNI's own tuners as strategies, with one choice for each edge of a cell, or for each gene that a space names.

Where a cell keeps only some of the edges into a node, which ones is a choice of its own: any choices together make an
architecture. Choices of operations on edges that are left out mean nothing.
"""

import random
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from nasengine.architecture import Architecture, CellEdge, CellGenotype
from nasengine.errors import ConfigError
from nasengine.protocols import ElasticSpace, Evaluation, SupernetSpace, SupportsNamedGenes

WORST = 0.0
"""Accuracy that a failed trial is told to have: these tuners know no failures, and wait for every result."""


class OwnTuner:
    """TPE (Bergstra et al., 2011), evolution as in Real et al. (2017, arXiv 1703.01041), or random search, of NNI.

    Args:
        space: of cells, or one that names its genes.
        name: ``TPE``, ``Evolution`` or ``Random``.
        seed: of its proposals.
    """

    def __init__(self, space: SupernetSpace | ElasticSpace, name: str, seed: int) -> None:
        self.space, self.seed = space, seed % 2**31
        self.tuner = self._made(name)
        self._asked = 0
        self._numbers: dict[Architecture, list[int]] = {}
        self._choices: dict[int, dict[str, Any]] = {}

    def ask(self, count: int) -> list[Architecture]:
        """Propose architectures."""
        return [self._propose() for _ in range(count)]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """Tell results; of an architecture that was proposed twice, first the first."""
        for evaluation in evaluations:
            waiting = self._numbers.get(evaluation.architecture)
            if waiting:
                number = waiting.pop(0)
                value = WORST if evaluation.failure is not None else evaluation.metrics["accuracy"]
                self.tuner.receive_trial_result(number, self._choices[number], value)

    def _propose(self) -> Architecture:
        from nni import NoMoreTrialError

        number, state = self._asked, random.getstate()
        random.seed(f"{self.seed} {number}")  # NNI's evolution draws from Python's own generator
        try:
            choices = self.tuner.generate_parameters(number)
        except NoMoreTrialError as fault:
            raise ConfigError(
                f"tuner {type(self.tuner).__name__}: expected an architecture that it has not proposed yet, got none "
                f"after {number}; ask for fewer --trials"
            ) from fault
        finally:
            random.setstate(state)
        self._asked += 1
        self._choices[number] = choices
        found = decoded(self.space, choices)
        self._numbers.setdefault(found, []).append(number)
        return found

    def _made(self, name: str) -> Any:
        import numpy

        if name == "TPE":
            from nni.algorithms.hpo.tpe_tuner import TpeTuner

            tuner: Any = TpeTuner(optimize_mode="maximize", seed=self.seed)
        elif name == "Random":
            from nni.algorithms.hpo.random_tuner import RandomTuner

            tuner = RandomTuner(seed=self.seed)
        else:
            from nni.algorithms.hpo.evolution_tuner import EvolutionTuner

            tuner = EvolutionTuner(optimize_mode="maximize")
        tuner.update_search_space(choices_of(self.space))
        if name == "Evolution":  # it takes no seed: its first population is drawn again from one
            tuner.random_state = numpy.random.RandomState(self.seed)
            tuner.population = []
            for _ in range(tuner.population_size):
                tuner._random_generate_individual()
        return tuner


def choices_of(space: SupernetSpace | ElasticSpace) -> dict[str, Any]:
    """The space as NNI states one: a choice of an operation for each edge, and of edges for nodes that keep some.

    Raises:
        ConfigError: neither cells nor named genes.
    """
    found = space.gene_choices if isinstance(space, SupportsNamedGenes) else _edge_choices(_of_cells(space))
    return {name: {"_type": "choice", "_value": list(values)} for name, values in found.items()}


def _of_cells(space: SupernetSpace | ElasticSpace) -> SupernetSpace:
    if not isinstance(space, SupernetSpace):
        raise ConfigError(f"space {space.name}: expected one of cells, or one that names its genes")
    return space


def _edge_choices(space: SupernetSpace) -> Mapping[str, Sequence[str]]:
    topology = space.topology
    found: dict[str, list[str]] = {}
    for kind in topology.kinds:
        for target in topology.targets:
            if topology.num_kept(target) < target:
                kept = combinations(range(target), topology.num_kept(target))
                found[f"{kind} inputs of {target}"] = [" ".join(map(str, sources)) for sources in kept]
        for index, (source, target) in enumerate(topology.edges):
            found[f"{kind} {source}-{target}"] = list(topology.selectable(kind, index))
    return found


def decoded(space: SupernetSpace | ElasticSpace, choices: dict[str, Any]) -> Architecture:
    """The architecture that choices make."""
    if isinstance(space, SupportsNamedGenes):
        return space.from_named_genes(choices)
    topology = _of_cells(space).topology
    edges: dict[str, list[CellEdge]] = {kind: [] for kind in topology.kinds}
    for kind in topology.kinds:
        for target in topology.targets:
            kept = choices.get(f"{kind} inputs of {target}")
            sources = range(target) if kept is None else map(int, kept.split())
            edges[kind] += [CellEdge(target, source, choices[f"{kind} {source}-{target}"]) for source in sources]
    return Architecture(space.name, CellGenotype.of(**edges))
