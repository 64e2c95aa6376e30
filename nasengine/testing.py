"""Contracts that every plug-in has to keep: inherit one in your tests and give it your object.

::

    class TestMySpace(SearchSpaceContract):
        @pytest.fixture
        def space(self):
            return MY_SPACE
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy
import torch

from nasengine.graph import ComputationGraph, cost, fingerprint
from nasengine.protocols import ElasticSpace, Evaluation, Predictor, SearchSpace, Strategy, SupernetSpace
from nasengine.splittable_space import SplittableElasticSpace
from nasengine.supernet import Supernet
from nasengine.supernet.elastic import ElasticSupernet

NUM_DRAWS = 10


def small_config(space: SearchSpace) -> Any:
    """A network of the space that is quick to run."""
    return replace(space.defaults, channels=4, cells=3, image_shape=(3, 16, 16), num_classes=5)


class SearchSpaceContract:
    """What a search space promises. Needs a fixture ``space``."""

    def test_satisfies_the_protocol(self, space: Any) -> None:
        assert isinstance(space, SearchSpace)
        assert space.size > 1

    def test_sampling_depends_on_the_generator_alone(self, space: Any) -> None:
        assert space.sample(random.Random(3)) == space.sample(random.Random(3))
        assert len({space.sample(random.Random(seed)) for seed in range(NUM_DRAWS)}) > 1

    def test_text_goes_both_ways(self, space: Any) -> None:
        for seed in range(NUM_DRAWS):
            architecture = space.sample(random.Random(seed))
            assert space.parse(space.format(architecture)) == architecture

    def test_mutation_makes_another_valid_architecture(self, space: Any) -> None:
        rng = random.Random(0)
        architecture = space.sample(rng)
        for _ in range(NUM_DRAWS):
            child = space.mutate(architecture, rng)
            space.validate(child)
            assert child != architecture
            architecture = child

    def test_crossover_is_valid_and_equal_parents_have_equal_children(self, space: Any) -> None:
        rng = random.Random(0)
        first, second = space.sample(rng), space.sample(rng)
        for _ in range(NUM_DRAWS):
            space.validate(space.crossover(first, second, rng))
        assert space.crossover(first, first, rng) == first

    def test_graph_is_sound_and_depends_on_the_architecture_alone(self, space: Any) -> None:
        architecture = space.sample(random.Random(0))
        graph = space.to_graph(architecture, small_config(space))
        graph.check()
        assert fingerprint(graph) == fingerprint(space.to_graph(architecture, small_config(space)))

    def test_network_has_as_many_parameters_as_the_graph_says(self, space: Any) -> None:
        for seed in range(3):
            architecture = space.sample(random.Random(seed))
            graph = space.to_graph(architecture, small_config(space))
            network = space.build(architecture, small_config(space))
            assert isinstance(network, torch.nn.Module)
            assert sum(weight.numel() for weight in network.parameters()) == cost(graph).num_parameters
            assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 5)

    def test_supernet_computes_what_its_extracted_networks_do(self, space: Any) -> None:
        if not isinstance(space, SupernetSpace):
            return
        supernet = Supernet(space, replace(small_config(space), searching=True), seed=1).eval()
        images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        for seed in range(3):
            architecture = space.sample(random.Random(seed))
            network = supernet.extract(architecture).eval()
            assert torch.equal(supernet(images, architecture), network(images))

    def test_elastic_supernet_computes_what_its_extracted_networks_do(self, space: Any) -> None:
        if not isinstance(space, ElasticSpace):
            return
        supernet = ElasticSupernet(space, small_config(space), seed=1)
        images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        corners = [space.shrunk((choice,)) for choice in space.elastic_choices]
        for architecture in (space.largest(), space.smallest(), *corners, space.sample(random.Random(0))):
            network = supernet.extract(architecture)
            torch.testing.assert_close(supernet(images, architecture), network(images), rtol=1e-5, atol=1e-6)

    def test_costs_of_elastic_subnets_lie_between_those_of_smallest_and_largest(self, space: Any) -> None:
        if not isinstance(space, ElasticSpace):
            return
        config, rng = small_config(space), random.Random(0)
        low, high = space.cost_range(config)
        for _ in range(3):
            architecture = space.sample_within(space.elastic_choices, rng)
            found, counted = space.cost(architecture, config), cost(space.to_graph(architecture, config))
            assert (found.macs, found.num_parameters) == (counted.macs, counted.num_parameters)
            assert low.macs <= found.macs <= high.macs
            assert low.num_parameters <= found.num_parameters <= high.num_parameters

    def test_candidates_of_a_layer_divide_elastic_spaces_that_name_layers(self, space: Any) -> None:
        if not isinstance(space, SplittableElasticSpace):
            return
        rng, whole = random.Random(0), space.allowed
        for key, layer in space.layers.items():
            picks, subnet = whole[key], space.sample_within(space.elastic_choices, rng)
            placed = [dict(space.selection(space.placed(subnet, key, pick))) for pick in picks]
            assert [found.pop(key) for found in placed] == [(pick,) for pick in picks]
            assert all(found == placed[0] for found in placed)
            halves = [space.restrict({**whole, key: half}) for half in (picks[:2], picks[2:])]
            assert sum(half.size for half in halves) == space.size
            for half in halves:
                drawn = half.sample_within(half.elastic_choices, rng)
                kept = [all(set(found) <= set(other.allowed[place]) for place, found in space.selection(drawn).items())
                        for other in halves]  # fmt: skip
                assert kept == [other is half for other in halves]
            assert len(layer.candidates) == len(picks) > 2


class PredictorContract:
    """What a predictor promises. Needs fixtures ``predictor``, ``graphs`` and ``targets``."""

    def test_satisfies_the_protocol(self, predictor: Any) -> None:
        assert isinstance(predictor, Predictor)

    def test_predictions_are_finite_with_a_standard_deviation_each(
        self, predictor: Any, graphs: Sequence[ComputationGraph], targets: Sequence[float]
    ) -> None:
        predictor.fit(graphs, targets)
        prediction = predictor.predict(graphs)
        assert prediction.mean.shape == prediction.std.shape == (len(graphs),)
        assert numpy.isfinite(prediction.mean).all()
        assert (prediction.std >= 0).all()

    def test_training_targets_are_ranked_better_than_by_chance(
        self, predictor: Any, graphs: Sequence[ComputationGraph], targets: Sequence[float]
    ) -> None:
        predictor.fit(graphs, targets)
        assert numpy.corrcoef(predictor.predict(graphs).mean, targets)[0, 1] > 0.3


class StrategyContract:
    """What a strategy promises. Needs fixtures ``make_strategy`` and ``space``; the former takes (space, rng)."""

    def test_satisfies_the_protocol(self, make_strategy: Any, space: Any) -> None:
        assert isinstance(make_strategy(space, random.Random(0)), Strategy)

    def test_proposals_are_valid_and_depend_on_seed_and_evaluations_alone(self, make_strategy: Any, space: Any) -> None:
        assert self._run(make_strategy, space) == self._run(make_strategy, space)

    def test_failed_evaluations_are_survived(self, make_strategy: Any, space: Any) -> None:
        strategy = make_strategy(space, random.Random(0))
        strategy.tell([Evaluation(found, {}, failure="crashed") for found in strategy.ask(3)])
        assert len(strategy.ask(2)) == 2

    def test_batches_are_as_long_as_asked_for_and_come_back_in_any_order(self, make_strategy: Any, space: Any) -> None:
        strategy = make_strategy(space, random.Random(1))
        for size in (1, 12, 5, 3):
            batch = strategy.ask(size)
            assert len(batch) == size
            evaluations = [Evaluation(found, {"accuracy": place / 20}) for place, found in enumerate(batch)]
            strategy.tell(evaluations[::-1])

    def _run(self, make_strategy: Any, space: Any) -> list[str]:
        strategy = make_strategy(space, random.Random(0))
        proposed = []
        for _ in range(30):
            (architecture,) = strategy.ask(1)
            space.validate(architecture)
            proposed.append(space.format(architecture))
            strategy.tell([Evaluation(architecture, {"accuracy": len(set(proposed[-1])) / 100})])
        return proposed
