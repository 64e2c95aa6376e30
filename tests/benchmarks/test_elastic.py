"""The benchmark of elastic supernets, on a small space and few digits: what it counts, keeps and compares."""

import itertools
from dataclasses import replace

import pytest
from typer.testing import CliRunner

import cli
from benchmarks import elastic_limits, elastic_prefilter, elastic_speed
from benchmarks.elastic_limits import Plan
from benchmarks.elastic_supernets import Setting, TrainedSupernet, limits_of
from benchmarks.results import ResultsFile
from nasengine.assembly import load_predictor
from nasengine.data.digits import load
from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.strategies import RandomStrategy
from search_spaces.mobilenet import MOBILENET, Stage

STAGES = (Stage(16, 2, 2, "relu"), Stage(32, 2, 2, "hard_swish"))
SPACE = MOBILENET.with_layout(replace(MOBILENET.layout, stages=STAGES, min_blocks=1, feature_channels=32))
QUICK = MOBILENET.scales["quick"]
SCALE = replace(QUICK, sampled_paths=3, supernet=replace(QUICK.supernet, epochs=2, batch_size=40))


@pytest.fixture(scope="module")
def setting():
    return Setting(SPACE, SCALE, load().reduced(100, 40, None, seed=0))


def test_limits_lie_between_the_ends_in_equal_proportions(setting):
    low, high = (found.macs for found in SPACE.cost_range(setting.config))
    ends = [low, *limits_of(SPACE, setting.config, 5), high]
    ratios = [after / before for before, after in itertools.pairwise(ends)]
    assert ratios == pytest.approx([(high / low) ** (1 / 6)] * 6, rel=1e-4)


def test_both_sides_see_as_many_images(setting):
    share = len(setting.dataset.all_training) / len(setting.dataset.train)
    for epochs, tuning in ((8, 0), (12, 1), (20, 3)):
        passes = Plan(epochs, tuning).supernet_epochs(setting)
        assert passes <= (epochs - 5 * tuning) * share < passes + 1
    with pytest.raises(ConfigError, match="--epochs: expected at least 2 beside fine-tuning, .* 5 times 3, got 15"):
        Plan(15, 3).supernet_epochs(setting)


def test_multiply_accumulates_are_those_of_all_passes(setting):
    """Sandwich: an epoch of the largest alone, then one of four subnets, of which two are drawn."""
    trained = TrainedSupernet(setting, seed=0)
    assert trained.macs.training == 0
    supernet, images = trained.supernet, len(setting.dataset.train)
    largest, smallest = (cost(SPACE.to_graph(one, setting.config)).macs for one in (SPACE.largest(), SPACE.smallest()))
    low, high = (3 * images * (2 * largest + smallest + 2 * each) for each in (smallest, largest))
    assert low < trained.macs.training < high
    assert trained.macs.measuring == 0
    assert trained.supernet is supernet
    limit = smallest + (largest - smallest) // 2
    found = trained.history(RandomStrategy, limit)
    assert len(found) == SCALE.sampled_paths
    assert all(cost(SPACE.to_graph(SPACE.parse(name), setting.config)).macs <= limit for name, _ in found)
    most = SCALE.sampled_paths * (images + len(setting.dataset.validation)) * limit
    assert 0 < trained.macs.measuring <= most


def test_rows_of_both_sides_hold_the_same_networks_and_are_not_run_again(setting, tmp_path):
    plan, path = Plan(7, 1, num_limits=2), tmp_path / "rows.jsonl"
    supernets = {3: TrainedSupernet(setting, 3)}
    elastic, scratch = elastic_limits.run(
        setting, plan, supernets, RandomStrategy, ResultsFile(path, elastic_limits.KEY)
    )
    names = [[row["genotype"] for row in side["networks"]] for side in (elastic, scratch)]
    assert names[0] == names[1]
    macs = [cost(SPACE.to_graph(SPACE.parse(name), setting.config)).macs for name in names[0]]
    assert all(found <= row["limit"] for found, row in zip(macs, elastic["networks"], strict=True))
    images = len(setting.dataset.all_training)
    assert scratch["training_macs"] == 3 * images * 7 * sum(macs)
    assert elastic["training_macs"] == supernets[3].macs.training + 3 * images * sum(macs)
    untrained = {3: TrainedSupernet(setting, 3)}
    again = elastic_limits.run(setting, plan, untrained, RandomStrategy, ResultsFile(path, elastic_limits.KEY))
    assert again == [elastic, scratch]
    assert untrained[3].macs.training == 0
    last = elastic_limits.summary(again)[-1]
    assert last["limit"] == "all"
    assert last["elastic"] == pytest.approx(sum(row["accuracy"] for row in elastic["networks"]) / 2)
    assert last["macs_share"] == pytest.approx(elastic["training_macs"] / scratch["training_macs"])


def test_with_and_without_a_predictor_as_many_subnets_are_measured(setting):
    content = {"strategy": "random", "predictor": "gennape", "pool": 30}
    results = ResultsFile(None, elastic_prefilter.KEY)
    trained = TrainedSupernet(setting, 0)
    row = elastic_prefilter.run(trained, RandomStrategy, load_predictor("gennape"), results, content)
    for way in elastic_prefilter.WAYS:
        assert [len(one["all"]) for one in row["accuracies"][way]] == [SCALE.sampled_paths] * 3
    assert row["accuracies"]["none"] != row["accuracies"]["predictor"]
    found = elastic_prefilter.summary([row])
    assert [entry["limit"] for entry in found] == [limit for limit in row["limits"] for _ in range(2)]
    assert found[0]["best"] == max(row["accuracies"]["none"][0]["all"])


def test_speed_has_a_ratio_for_each_subnet(setting):
    parts = SPACE, setting.config, setting.dataset
    row = elastic_speed.run(*parts, elastic_speed.key_of(*parts, subnets=2, seed=0))
    assert len(row["ratios"]) == 2
    assert row["worst_ratio"] == max(row["ratios"])
    assert row["mean_ratio"] == pytest.approx(sum(row["ratios"]) / 2)  # seconds of tiny networks say nothing here
    assert row["drawn_per_second"] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--part", "colour"), "--part: expected speed or limits or prefilter, got 'colour'"),
        (("--space", "nasbench201"), "--space: expected one whose supernet is elastic"),
        (("--part", "limits", "--epochs", "5", "--tuning-epochs", "1"), "--epochs: expected at least 2"),
        (("--seeds", "a"), "--seeds: expected whole numbers"),
    ],
)
def test_bad_options_end_with_one_sentence(options, message):
    result = CliRunner().invoke(cli.app, ["bench", "elastic", *options])
    assert result.exit_code == 2
    assert message in result.stderr
