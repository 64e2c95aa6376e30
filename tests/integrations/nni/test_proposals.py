"""A tuner's memory is the journal: a search that is cut off anywhere goes on as if it had not been."""

import pytest

from nasengine.errors import ConfigError, StoreError
from nasengine.integrations.nni.opening import opened_proposals
from nasengine.integrations.nni.trial_file import Measured, TrialFile
from nasengine.pipeline.trial_results import best_trial
from nasengine.store import RunStore
from tests.integrations.nni.trial_runs import begun, settings_of_trials

COUNT = 12


def evaluate(run, proposals, proposal):
    """Leave behind what a trial process does (test_trial.py has real ones)."""
    store, genotype = proposals.store, proposals.space.format(proposal.architecture)
    final = {"default": 0.1 + genotype.count("3x3~") / 10 + proposal.number / 1000, "params": 5.0, "macs": 7.0}
    file = TrialFile(run, store.settings, store.last("data")["fingerprint"], genotype)
    file.write(Measured(genotype=genotype, epochs=[{"default": 0.1}], final=final, seconds=0.5))
    return final


def searched(folder, settings, cuts=()) -> list:
    """Two trials at a time; at a cut, the process is gone, and a new one goes on."""
    begun(folder, settings)
    proposals, running = opened_proposals(folder), []
    while len(proposals.results) < COUNT:
        while len(running) < 2 and (proposal := proposals.next()) is not None:
            running.append(proposal)
        if len(proposals.results) in cuts:
            cuts = [cut for cut in cuts if cut != len(proposals.results)]
            evaluate(folder, proposals, running[0])  # measured, but nobody heard of it
            proposals.store.close()
            proposals, running = opened_proposals(folder), []
            continue
        proposal = running.pop(0)
        if proposal.number % 5 == 3:
            proposals.finish(proposal.number, "FAILED")
        else:
            evaluate(folder, proposals, proposal)
            proposals.finish(proposal.number, "SUCCEEDED")
    proposals.store.close()
    results = sorted(proposals.results.values(), key=lambda result: result.number)
    return [(result.number, result.genotype, result.status, result.accuracy) for result in results]


@pytest.mark.parametrize("strategy", ["random", "regularized_evolution", "fuzzy_evolution", "predictor_guided"])
def test_a_search_that_is_cut_off_goes_on_as_if_it_had_not_been(tmp_path, strategy):
    settings = settings_of_trials(strategy=strategy, count=COUNT)
    undisturbed = searched(tmp_path / "undisturbed", settings)
    assert [row[0] for row in undisturbed] == list(range(COUNT))
    assert [row[2] for row in undisturbed].count("FAILED") == 2
    assert searched(tmp_path / "cut", settings, cuts=[0, 3, 4, 11]) == undisturbed


@pytest.mark.parametrize("tuner", ["TPE", "Evolution", "Random"])
def test_own_tuners_go_on_too(tmp_path, tuner):
    pytest.importorskip("nni.algorithms.hpo.tpe_tuner", reason="NNI has no wheel for this machine")
    settings = settings_of_trials(count=COUNT, tuner=tuner)
    assert searched(tmp_path / "cut", settings, cuts=[2, 9]) == searched(tmp_path / "whole", settings)


def test_what_was_begun_is_proposed_first(tmp_path):
    begun(tmp_path / "run", settings_of_trials(count=4))
    proposals = opened_proposals(tmp_path / "run")
    first = [proposals.next() for _ in range(3)]
    evaluate(tmp_path / "run", proposals, first[1])
    proposals.finish(1, "SUCCEEDED")
    proposals.store.close()
    again = opened_proposals(tmp_path / "run")
    assert [again.next() for _ in range(2)] == [first[0], first[2]]
    assert again.next().number == 3
    assert again.next() is None
    again.store.close()


def test_failures_say_what_the_trial_wrote(tmp_path):
    run = tmp_path / "run"
    begun(run, settings_of_trials(count=4))
    (run / "trials").mkdir()
    (run / "trials" / "trial-0.log").write_text("Traceback\n  somewhere\nMemoryError: too much\n\n")
    proposals = opened_proposals(run)
    assert [proposals.next().number for _ in range(3)] == [0, 1, 2]
    assert proposals.finish(0, "FAILED").reason == "MemoryError: too much"
    assert proposals.finish(1, "SUCCEEDED").reason == "it ended without a result and without a word"
    assert proposals.finish(2, "EARLY_STOPPED").status == "EARLY_STOPPED"
    assert {result.status for result in (proposals.results[0], proposals.results[1])} == {"FAILED"}
    assert proposals.finish(0, "SUCCEEDED") == proposals.results[0]  # the first word counts
    proposals.store.close()


def test_the_most_accurate_trial_wins_within_the_limits(tmp_path):
    run = tmp_path / "run"
    search = begun(run, settings_of_trials(count=COUNT))
    proposals, rows = opened_proposals(run), []
    with pytest.raises(StoreError, match=f"expected {COUNT} trials that have ended, got 0; go on with: nasengine nni"):
        best_trial(proposals.store, search.space, lambda found: True)
    while (proposal := proposals.next()) is not None:
        rows.append((evaluate(run, proposals, proposal)["default"], proposal.architecture))
        proposals.finish(proposal.number, "SUCCEEDED")
    ranked = [architecture for _, architecture in sorted(rows, key=lambda row: -row[0])]
    assert best_trial(proposals.store, search.space, lambda found: True) == ranked[0]
    assert best_trial(proposals.store, search.space, lambda found: found not in ranked[:3]) == ranked[3]
    with pytest.raises(StoreError, match="expected a trial with a result that keeps all limits, got none"):
        best_trial(proposals.store, search.space, lambda found: False)
    proposals.store.close()


def test_other_runs_and_damaged_journals_are_refused(tmp_path):
    begun(tmp_path / "run", settings_of_trials())
    store = RunStore.open(tmp_path / "run")
    store.record("trial", number=0, genotype="x", status="SUCCEEDED", accuracy=0.5)
    store.close()
    with pytest.raises(StoreError, match="expected a trial that was proposed, got 0"):
        opened_proposals(tmp_path / "run")
    store = RunStore.create(tmp_path / "other", {"space": "nasbench201", "data": "digits"})
    store.close()
    with pytest.raises(ConfigError, match="expected a run of 'nasengine nni'"):
        opened_proposals(tmp_path / "other")
