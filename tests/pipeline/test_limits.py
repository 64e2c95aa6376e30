"""Searches within the limits of a device: every answer keeps them, and what nothing keeps is said before training."""

import random

import numpy
import pytest

from nasengine.data.digits import load
from nasengine.errors import ConfigError, StoreError
from nasengine.graph import cost
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.pipeline.feasibility import Feasibility
from nasengine.protocols import NetworkConfig, Prediction
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from nasengine.targets import Constraint, Constraints, Device, load_target
from search_spaces.nasbench201 import NASBENCH201
from tests.pipeline.test_search import Silent, quick_export

CONFIG = NetworkConfig(10, (1, 8, 8), 8, 2)
LIMIT = 9.0


class ConvolutionsTakeTime:
    """A device on which a convolution takes a millisecond, and pools do not run."""

    def predict(self, graphs):
        kinds = [[node.kind for node in graph.operations] for graph in graphs]
        mean = [numpy.inf if found.count("avg_pool") > 2 else found.count("conv") for found in kinds]
        return Prediction(numpy.array(mean, float), numpy.full(len(graphs), 0.1))


def device(**limits) -> Device:
    constraints = Constraints(tuple(Constraint(name, limit) for name, limit in limits.items()))
    return Device(load_target("any-onnx"), constraints, ConvolutionsTakeTime())


def make(found: Device, **changes) -> Search:
    dataset = load().reduced(300, 100, None, seed=0)
    settings = SearchSettings.read({"space": "nasbench201", "data": "digits", "budget": "quick", **changes}, "test")
    parts = Parts(NASBENCH201, dataset, quick_export, RegularizedEvolution, device=found)
    return Search(settings, parts, Silent())


def run(folder, found: Device, **changes):
    search = make(found, **changes)
    store = RunStore.create(folder, search.settings.model_dump())
    try:
        return search.run(store)
    finally:
        store.close()


def resumed(folder, found: Device, **changes):
    store = RunStore.open(folder)
    try:
        return make(found, **changes).run(store)
    finally:
        store.close()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        pytest.param({"splits": 0}, marks=pytest.mark.slow),
        pytest.param({"training": "single-path", "selection": "sampled-paths", "splits": 0}, marks=pytest.mark.slow),
    ],
)
def test_winner_and_baseline_keep_the_limits(tmp_path, changes):
    limited = device(latency_ms=LIMIT)
    summary = run(tmp_path / "run", limited, **changes)
    config = make(limited, **changes).architecture_search.final_config
    for name in ("winner", "random_baseline"):
        graph = NASBENCH201.to_graph(NASBENCH201.parse(summary[name]["genotype"]), config)
        assert summary["target"][name]["latency_ms"] == limited.latency.predict([graph]).mean[0] <= LIMIT
    assert summary["target"]["limits"] == {"latency_ms": LIMIT}
    assert resumed(tmp_path / "run", limited, **changes)["winner"] == summary["winner"]


def test_a_resumed_run_has_the_same_limits(tmp_path):
    run(tmp_path / "run", device(latency_ms=LIMIT), splits=0)
    with pytest.raises(StoreError, match="expected the limits that the run began with"):
        resumed(tmp_path / "run", device(latency_ms=LIMIT - 1), splits=0)


def test_what_nothing_keeps_is_said_before_anything_is_trained():
    with pytest.raises(ConfigError, match=r"nearest, .*, has latency 7 of 5 \(40.0 % too much\)"):
        make(device(latency_ms=5.0))


def test_a_limit_on_latency_needs_someone_who_knows_it():
    with pytest.raises(ConfigError, match="expected one whose latency is known"):
        Device(load_target("mcu-64k"), Constraints((Constraint("latency_ms", 1.0),)))


def test_neighbours_keep_the_limits_and_are_close():
    feasibility = Feasibility(NASBENCH201, CONFIG, device(latency_ms=14.0))
    rng = random.Random(0)
    proposal = next(one for one in iter(lambda: NASBENCH201.sample(rng), None) if feasibility.violation(one) > 0)
    near = feasibility.near(proposal, NASBENCH201, seed=0)
    others = [one for one in (NASBENCH201.sample(rng) for _ in range(200)) if feasibility.violation(one) == 0]
    assert near
    assert all(feasibility.violation(one) == 0 for one in near)
    assert numpy.mean([changes(proposal, one) for one in near]) < numpy.mean([changes(proposal, one) for one in others])


def changes(first, second) -> int:
    genes = zip(NASBENCH201.format(first).split("|"), NASBENCH201.format(second).split("|"), strict=True)
    return sum(one != other for one, other in genes)


def test_rare_architectures_are_found():
    """Networks without a convolution in their cells: 729 of 15,625."""
    smallest = NASBENCH201.to_graph(NASBENCH201.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"), CONFIG)
    least = cost(smallest).num_parameters
    feasibility = Feasibility(NASBENCH201, CONFIG, device(num_parameters=float(least)))
    assert all(feasibility.cost_of(one).metrics["num_parameters"] == least for one in feasibility.check(seed=1))
