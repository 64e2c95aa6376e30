"""Every entry point that is installed keeps the contract of its kind."""

import random

import pytest

from nasengine import registry
from nasengine.errors import ConfigError, UnknownNameError
from nasengine.graph import cost
from nasengine.testing import PredictorContract, SearchSpaceContract, StrategyContract
from search_spaces.nasbench201 import NASBENCH201
from search_spaces.nasbench_macro import NASBENCH_MACRO


@pytest.mark.parametrize("name", registry.names("search space"))
class TestSearchSpaces(SearchSpaceContract):
    @pytest.fixture
    def space(self, name):
        found = registry.load("search space", name)
        assert found.name == name
        return found


@pytest.mark.parametrize("name", registry.names("predictor"))
class TestPredictors(PredictorContract):
    @pytest.fixture
    def predictor(self, name):
        return registry.load("predictor", name)()

    @pytest.fixture
    def graphs(self):
        rng = random.Random(0)
        return [NASBENCH201.to_graph(NASBENCH201.sample(rng), NASBENCH201.defaults) for _ in range(40)]

    @pytest.fixture
    def targets(self, graphs):
        return [float(cost(graph).macs) for graph in graphs]


@pytest.mark.parametrize("name", registry.names("strategy"))
class TestStrategies(StrategyContract):
    @pytest.fixture
    def make_strategy(self, name):
        return registry.load("strategy", name)

    @pytest.fixture
    def space(self):
        return NASBENCH_MACRO  # small graphs: some strategies build hundreds


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="search space 'darst' is unknown; known: darts, .*did you mean 'darts'"):
        registry.load("search space", "darst")


def test_broken_plugins_are_named(monkeypatch):
    from importlib.metadata import EntryPoint

    broken = EntryPoint("broken", "no_such_module:thing", registry.GROUPS["search space"])
    monkeypatch.setattr(registry, "_found", lambda what: {"broken": broken})
    with pytest.raises(ConfigError, match="search space 'broken': its package offers no_such_module:thing"):
        registry.load("search space", "broken")
