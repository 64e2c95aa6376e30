"""Searches over an elastic supernet, on some of the digits: from its training to a fine-tuned, exported subnet."""

import random
from dataclasses import replace

import pytest
import torch

from nasengine.assembly import assemble, completed, load_predictor
from nasengine.data import batches
from nasengine.data.digits import load
from nasengine.errors import ConfigError, WorkerError
from nasengine.evaluation import accuracy
from nasengine.graph import cost
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.pipeline.workers import LEAF, Part
from nasengine.protocols import NetworkConfig
from nasengine.randomness import seeded_generator
from nasengine.store import RunStore
from nasengine.strategies import RegularizedEvolution
from nasengine.supernet.training import recalibrate
from nasengine.targets import Constraint, Constraints, Device, load_target
from search_spaces.mobilenet import MOBILENET, Stage
from search_spaces.nasbench201 import NASBENCH201
from tests.pipeline.test_search import Silent, quick_export

WAYS = {"training": "sandwich", "selection": "sampled-paths"}
STAGES = (Stage(16, 2, 2, "relu"), Stage(32, 2, 2, "hard_swish", squeezes=True))
QUICK = MOBILENET.scales["quick"]
SCALE = replace(
    QUICK, supernet_channels=8, final_channels=8, sampled_paths=5,
    supernet=replace(QUICK.supernet, epochs=5, batch_size=50), final=replace(QUICK.final, epochs=1),
)  # fmt: skip
SPACE = replace(
    MOBILENET.with_layout(replace(MOBILENET.layout, stages=STAGES, min_blocks=1, feature_channels=64)),
    scales={"quick": SCALE},
)
CONFIG = NetworkConfig(10, (1, 8, 8), 8, 1)
SMALLEST, LARGEST = SPACE.cost_range(CONFIG)


def device(**limits) -> Device:
    constraints = Constraints(tuple(Constraint(name, float(limit)) for name, limit in limits.items()))
    return Device(load_target("any-onnx"), constraints)


def make(space=SPACE, found=None, ranked_by=None, **changes) -> Search:
    dataset = load().reduced(160, 60, None, seed=0)
    settings = SearchSettings.read(
        {"space": space.name, "data": "digits", "budget": "quick", **WAYS, **changes}, "test"
    )
    parts = Parts(space, dataset, quick_export, RegularizedEvolution, device=found, predictor=ranked_by)
    return Search(settings, parts, Silent())


def run(folder, **changes):
    search = make(**changes)
    store = RunStore.create(folder, search.settings.model_dump())
    try:
        return search.run(store), store, search
    finally:
        store.close()


def measured(store) -> dict[str, float]:
    """Validation accuracies of the subnets that were compared."""
    rows = [event["metrics"] for event in store.find("step", task="selection")]
    return {row["genotype"]: row["accuracy"] for row in rows}


@pytest.mark.parametrize("training", ["sandwich", "shrinking"])
def test_a_whole_run(tmp_path, training):
    summary, store, search = run(tmp_path / "run", training=training)
    assert [task for task, _, _ in search.progress.begun][:4] == ["supernet", "selection", "winner", "random_baseline"]
    found = measured(store)
    assert found[summary["winner"]["genotype"]] == max(found.values())
    assert summary["winner"]["genotype"] != summary["random_baseline"]["genotype"]
    tested = next(index for index, event in enumerate(store.events) if event["event"] == "test")
    assert all(event["event"] in ("test", "export") for event in store.events[tested:])
    again = make(training=training)
    store = RunStore.open(tmp_path / "run")
    assert again.run(store)["winner"] == summary["winner"]
    assert again.progress.steps == []
    store.close()


def test_a_killed_run_goes_on_as_an_undisturbed_one(tmp_path):
    expected, _, _ = run(tmp_path / "undisturbed")

    class KilledError(Exception):
        pass

    for number, (task, step) in enumerate([("supernet", 3), ("selection", 2), ("winner", 0)]):
        search = make()
        advance = search.progress.advance

        def kill(name, place, metrics, end=(task, step), advance=advance):
            advance(name, place, metrics)
            if (name, place) == end:
                raise KilledError

        search.progress.advance = kill
        folder = tmp_path / "killed"
        store = RunStore.open(folder) if number else RunStore.create(folder, search.settings.model_dump())
        with pytest.raises(KilledError):
            search.run(store)
        store.close()
    store = RunStore.open(tmp_path / "killed")
    summary = make().run(store)
    store.close()
    assert [summary[name] for name in ("winner", "random_baseline")] == [
        expected[name] for name in ("winner", "random_baseline")
    ]


def test_a_predictor_chooses_what_is_measured(tmp_path):
    """The real one: of 20 subnets for each measured one the best ranked, which a second search repeats exactly."""
    predictor = load_predictor("gennape")
    summary, store, _ = run(tmp_path / "run", predictor="gennape", pool=100, ranked_by=predictor)
    found = [SPACE.parse(name) for name in measured(store)]
    drawn = [SPACE.sample(random.Random(seed)) for seed in range(40)]
    ranks = predictor.predict([SPACE.to_graph(one, CONFIG) for one in [*found, *drawn]]).mean
    assert min(ranks[: len(found)]) > sorted(ranks[len(found) :])[20]
    assert summary["winner"]["genotype"] in measured(store)
    again = make(predictor="gennape", pool=100, ranked_by=load_predictor("gennape"))
    store = RunStore.create(tmp_path / "again", again.settings.model_dump())
    assert again.run(store)["winner"] == summary["winner"]
    store.close()


def test_a_fine_tuned_network_has_statistics_of_its_last_weights(tmp_path):
    summary, _, search = run(tmp_path / "run")
    store = RunStore.open(tmp_path / "run")
    network = search.trained_winner(store)
    store.close()
    before = {name: value.clone() for name, value in network.named_buffers()}
    data, generator = search.dataset, seeded_generator(0, "recalibration")
    recalibrate(network, network, (images for images, _ in batches(data.train, data, 128, generator)))
    assert all(torch.equal(value, before[name]) for name, value in network.named_buffers())
    assert accuracy(network, data.test, data) == summary["winner"]["test_accuracy"]


def test_networks_inherit_weights_unless_they_are_to_be_trained_from_scratch(tmp_path):
    summary, store, search = run(tmp_path / "inherited")
    winner = SPACE.parse(summary["winner"]["genotype"])
    begun, supernet = search.architecture_search.network(winner), search.architecture_search._supernet
    expected = supernet.extract(winner).state_dict()
    weights = {name: value for name, value in begun.state_dict().items() if "running" not in name}
    assert all(torch.equal(value, expected[name]) for name, value in weights.items() if "batches" not in name)
    assert len(list(store.find("step", task="winner"))) == SCALE.final.epochs
    _, store, search = run(tmp_path / "scratch", fine_tune=False)
    assert len(list(store.find("step", task="winner"))) == SCALE.supernet.epochs
    first, second = (search.architecture_search.network(winner).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(first["nodes.stem/conv.weight"], expected["nodes.stem/conv.weight"])


@pytest.mark.parametrize("place", [0.0, 0.02, 0.5])
def test_winner_baseline_and_all_that_is_compared_keep_the_limits(tmp_path, place):
    """At 0 only the smallest network does."""
    limit = int(SMALLEST.macs + place * (LARGEST.macs - SMALLEST.macs))
    summary, store, _ = run(tmp_path / "run", found=device(macs=limit), max_macs=limit)
    names = {*measured(store), summary["winner"]["genotype"], summary["random_baseline"]["genotype"]}
    assert all(cost(SPACE.to_graph(SPACE.parse(name), CONFIG)).macs <= limit for name in names)
    assert (names == {SPACE.format(SPACE.smallest())}) == (place == 0)
    assert summary["target"]["limits"] == {"macs": limit}


def test_one_trained_supernet_has_an_answer_for_several_limits(tmp_path):
    search = make()
    with pytest.raises(ConfigError, match="expected a trained supernet, got none"):
        search.architecture_search.best_within(LARGEST.macs)
    _, store, search = run(tmp_path / "run")
    part, store = search.architecture_search, RunStore.open(tmp_path / "run")
    part.store, limits = store, [SMALLEST.macs, (SMALLEST.macs + LARGEST.macs) // 3, LARGEST.macs]
    for limit in limits:
        found = part.best_within(limit)
        assert SPACE.cost(found, CONFIG).macs <= limit
        assert part.best_within(limit) == found  # the store has it
    with pytest.raises(ConfigError, match="--max-macs: expected a limit from"):
        part.best_within(LARGEST.macs + 1)
    assert [len(list(store.find("step", task=f"selection-{limit}"))) for limit in limits] == [SCALE.sampled_paths] * 3
    store.close()


def test_further_limits_have_networks_of_their_own(tmp_path):
    limits = [SMALLEST.macs, (SMALLEST.macs + LARGEST.macs) // 2]
    summary, store, search = run(tmp_path / "run", also_macs=limits)
    assert [row["limit"] for row in summary["within"]] == limits
    assert summary["within"][0]["genotype"] == SPACE.format(SPACE.smallest())
    for row in summary["within"]:
        assert row["macs"] <= row["limit"]
        assert (tmp_path / "run" / f"within-{row['limit']}.onnx").is_file()
        assert len(list(store.find("step", task=f"within-{row['limit']}"))) == SCALE.final.epochs
    assert [task for task, _, _ in search.progress.begun].count("supernet") == 1
    with pytest.raises(ConfigError, match="--also-macs: expected a limit from"):
        make(also_macs=[LARGEST.macs, LARGEST.macs + 1])
    with pytest.raises(ConfigError, match="--also-macs: expected a space whose supernet is elastic, got nasbench201"):
        make(NASBENCH201, also_macs=[10**6], training="fixed", selection="perturbation")


@pytest.mark.parametrize(
    ("metric", "option", "limit"),
    [
        ("macs", "max_macs", SMALLEST.macs - 1),
        ("macs", "max_macs", LARGEST.macs + 1),
        ("num_parameters", "max_parameters", SMALLEST.num_parameters - 1),
        ("num_parameters", "max_parameters", LARGEST.num_parameters + 1),
    ],
    ids=["few macs", "many macs", "few parameters", "many parameters"],
)
def test_limits_beyond_the_space_are_refused_with_both_ends(metric, option, limit):
    low, high = (f"{getattr(found, metric):,}" for found in (SMALLEST, LARGEST))
    expected = f"--{option.replace('_', '-')}: expected a limit from {low} to {high}, .* got {limit:,}"
    with pytest.raises(ConfigError, match=expected):
        make(found=device(**{metric: limit}), **{option: limit})


def test_what_is_for_other_supernets_is_refused():
    with pytest.raises(ConfigError, match="--training fixed: expected sandwich or shrinking for space mobilenet"):
        make(training="fixed", selection="perturbation")
    with pytest.raises(ConfigError, match="--sizes: expected none for space mobilenet, .* got .'small',.; leave it"):
        make(sizes=("small",))
    with pytest.raises(ConfigError, match="--training sandwich with --selection perturbation: expected sampled-paths"):
        make(selection="perturbation")
    short = replace(SCALE, supernet=replace(SCALE.supernet, epochs=4))
    with pytest.raises(ConfigError, match="at least 5 epochs, one for each phase, got 4"):
        make(replace(SPACE, scales={"quick": short}), training="shrinking")


def test_workers_are_told_that_there_are_no_leaves(tmp_path):
    search = make()
    store = RunStore.create(tmp_path / "run", search.settings.model_dump())
    with pytest.raises(WorkerError, match="expected a part of a search over an elastic supernet, got leaf 0"):
        search.do(Part(LEAF, "0", ("leaf0",)), store)
    store.close()


def test_the_space_says_how_it_is_searched():
    assert completed("nasbench201", None, None, None) == {
        "training": "fixed", "selection": "perturbation", "strategy": "random",
    }  # fmt: skip
    assert completed("nasbench201", "single-path", None, None)["selection"] == "sampled-paths"
    assert completed("mobilenet", "shrinking", None, "pareto") == {
        "training": "shrinking", "selection": "sampled-paths", "strategy": "pareto",
    }  # fmt: skip
    settings = SearchSettings.read({"space": "hiaml", "data": "digits"}, "test")
    with pytest.raises(ConfigError, match="expected one that states a supergraph or an elastic supernet"):
        assemble(settings, Silent())
    settings = SearchSettings.read({"space": "mobilenet", "data": "digits", "budget": "quick", **WAYS}, "test")
    assert assemble(settings, Silent()).architecture_search.final_config.channels == QUICK.final_channels
