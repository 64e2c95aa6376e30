"""Journals as trials."""

import json
import random

import pytest

from nasengine import registry
from nasengine.architecture import Architecture
from nasengine.errors import StoreError
from nasengine.graph import cost
from nasengine.integrations.nni.genes import NO_EDGE, declared_choices, flat_genes
from nasengine.protocols import NetworkConfig
from tests.integrations.nni.runs import PATHS, WrittenRun

NASBENCH201 = registry.load("search space", "nasbench201")


def trials_of(run):
    return {trial.id: trial for trial in run.recorded().read().trials}


def test_every_evaluation_is_a_trial_with_its_status(run):
    run.do_everything()
    assert {name: trial.status for name, trial in trials_of(run).items()} == {
        "path-leaf0-0": "SUCCEEDED", "path-leaf0-1": "SUCCEEDED", "leaf-1": "FAILED", "finalist-0": "EARLY_STOPPED",
        "finalist-1": "SUCCEEDED", "finalist-2": "SUCCEEDED", "finalist-3": "FAILED", "winner": "SUCCEEDED",
    }  # fmt: skip


def test_accuracies_are_those_of_the_stage(run):
    run.do_everything()
    trials = trials_of(run)
    assert {name: trial.final["default"] for name, trial in trials.items() if trial.final} == {
        "path-leaf0-0": 0.2, "path-leaf0-1": pytest.approx(0.3), "finalist-0": 0.31, "finalist-1": 0.61,
        "finalist-2": 0.72, "winner": 0.9,
    }  # fmt: skip
    assert trials["leaf-1"].message == trials["finalist-3"].message == "loss is not finite"


def test_genes_are_one_choice_for_each_edge(run):
    run.sample_paths()
    assert trials_of(run)["path-leaf0-0"].parameters == {
        "stage": "sampled path", "cell 0-1": "none", "cell 0-2": "nor_conv_1x1", "cell 1-2": "avg_pool_3x3",
        "cell 0-3": "avg_pool_3x3", "cell 1-3": "nor_conv_1x1", "cell 2-3": "skip_connect",
    }  # fmt: skip


def test_curves_are_the_epochs_of_each_network(run):
    run.do_everything()
    trials = trials_of(run)
    assert [value["default"] for value in trials["winner"].epochs] == [0.5, 0.625, 0.75]
    assert [value["loss"] for value in trials["finalist-1"].epochs] == [1.75, 1.5]
    assert trials["path-leaf0-0"].epochs == []


def test_costs_are_those_of_the_final_network(run):
    run.do_everything()
    scale = NASBENCH201.scales["quick"]
    config = NetworkConfig(10, (1, 8, 8), scale.final_channels, scale.final_cells)
    expected = cost(NASBENCH201.to_graph(NASBENCH201.parse(PATHS[2]), config))
    winner = trials_of(run)["winner"].final
    assert (winner["macs"], winner["params"]) == (expected.macs, expected.num_parameters)
    assert (winner["latency_ms"], winner["model_bytes"]) == (0.5, 120_000.0)


def test_a_run_on_its_way_shows_what_is_known(run):
    run.sample_paths()
    run.step("finalist0", 1, network=0, loss=2.0, train_accuracy=0.3)
    recording = run.recorded().read()
    finalist = recording.trials[-1]
    assert (finalist.status, finalist.genes, finalist.final, finalist.ended) == ("RUNNING", {}, None, None)
    assert recording.ended is None
    run.race()
    named = trials_of(run)["finalist-0"]
    assert (named.status, named.genotype) == ("EARLY_STOPPED", PATHS[0])


def test_a_journal_is_read_again_only_when_it_has_grown(run):
    run.sample_paths()
    recorded = run.recorded()
    assert len(recorded.read().trials) == 2
    assert recorded.read() is None
    run.sample_paths(leaf=1)
    assert len(recorded.read().trials) == 4
    run.store.write_summary({})
    assert recorded.read().ended is not None


def test_predicted_architectures_wait_until_they_are_finalists(run):
    run.store.record("prediction", predicted=[[PATHS[2], 0.8, 0.1]], seconds=0.0)
    assert [(name, trial.status) for name, trial in trials_of(run).items()] == [("predicted-0", "WAITING")]
    run.race()
    run.finish()
    trials = trials_of(run)
    assert "predicted-0" not in trials
    assert trials["finalist-2"].final["predicted_rank"] == 0.8
    assert "predicted_rank" not in trials["finalist-1"].final


@pytest.mark.parametrize("name", ["darts", "nasbench201", "nasbench101", "two_path"])
def test_all_architectures_of_a_space_have_values_that_are_declared(name):
    space = registry.load("search space", name)
    rng = random.Random(0)
    seen = [flat_genes(space, space.sample(rng)) for _ in range(20)]
    declared = declared_choices(space, seen)
    assert all(value in declared[gene]["_value"] for genes in seen for gene, value in genes.items())
    assert all(isinstance(value, (str, int, float)) for genes in seen for value in genes.values())


def test_edges_that_a_cell_leaves_out_are_named():
    space = registry.load("search space", "darts")
    genes = flat_genes(space, space.sample(random.Random(0)))
    assert len(genes) == 2 * 14
    assert sum(value == NO_EDGE for value in genes.values()) == 2 * (14 - 8)
    assert flat_genes(space, Architecture("other", ("a", 2))) == {"gene 0": "a", "gene 1": 2}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"genotype": "|none~0|", "accuracy": 0.5}, "line 3: expected a genotype of nasbench201"),
        ({"genotype": PATHS[0], "accuracy": 2.0}, "line 3: expected accuracy of the kind"),
        ({"genotype": PATHS[0], "accuracy": "high"}, "line 3: expected accuracy of the kind"),
        ({"genotype": 7, "accuracy": 0.5}, "line 3: expected genotype of the kind"),
    ],
    ids=["genotype", "accuracy", "text", "number"],
)
def test_journals_that_no_search_wrote_are_refused(run, entries, message):
    run.step("selection", 0, **entries)
    with pytest.raises(StoreError, match=message):
        run.recorded().read()


def test_texts_that_no_database_holds_are_refused(run):
    run.store.record("failed-leaf", leaf=0, reason="half a pair: \ud800")
    with pytest.raises(StoreError, match="line 3: expected reason of the kind"):
        run.recorded().read()


def test_infinite_losses_are_refused(run):
    line = {"event": "step", "time": 1.0, "task": "winner", "step": 0, "state": "a", "metrics": {"loss": float("inf")}}
    with open(run.folder / "journal.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
    with pytest.raises(StoreError, match="expected loss of the kind"):
        run.recorded().read()


def test_a_run_of_an_elastic_space_shows_its_subnets_and_the_answers_to_further_limits(tmp_path):
    space, rng = registry.load("search space", "mobilenet"), random.Random(0)
    texts = [space.format(space.sample(rng)) for _ in range(3)]
    run = WrittenRun(tmp_path / "run", space="mobilenet", training="sandwich", strategy="regularized_evolution")
    run.step("selection", 0, genotype=texts[0], accuracy=0.5)
    run.step("selection-3000000", 0, genotype=texts[1], accuracy=0.4)
    run.step("within-3000000", 0, loss=0.5, train_accuracy=0.75)
    run.store.record("test", network="within-3000000", result={"genotype": texts[2], "test_accuracy": 0.8}, seconds=1)
    trials = trials_of(run)
    run.store.close()
    assert {name: trial.final["default"] for name, trial in trials.items()} == {
        "path-0": 0.5, "path-3000000-0": 0.4, "within-3000000": 0.8,
    }  # fmt: skip
    assert trials["within-3000000"].stage == "winner within 3,000,000 macs"
    assert trials["within-3000000"].final["macs"] > 0
    assert trials["path-0"].genes == space.named_genes(space.parse(texts[0]))
