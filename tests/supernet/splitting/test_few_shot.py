"""Splitting a supernet level by level."""

import copy

import pytest
import torch

from nasengine.errors import ConfigError
from nasengine.protocols import TrainingRecipe
from nasengine.supernet.splitting import FewShotTraining, GradientMatching, SplitSchedule
from nasengine.supernet.training import ArchitectureTraining

RECIPE = TrainingRecipe(epochs=1, batch_size=32, learning_rate=0.05, final_learning_rate=0.001)


def make(supernet, dataset, num_splits=2, ways=2, restart=True) -> FewShotTraining:
    schedule = SplitSchedule(
        warmup_epochs=1, num_splits=num_splits, leaf_epochs=1, ways=ways, restart=restart,
        settings=GradientMatching(max_batches=2),
    )  # fmt: skip
    return FewShotTraining(supernet, dataset, RECIPE, schedule, architecture=ArchitectureTraining(order=1), seed=0)


def test_leaves_are_disjoint_and_cover_the_space(supernet, dataset, space):
    training = make(supernet, dataset)
    reports = [training.run_step(step) for step in range(training.num_steps)]
    assert len(training.parts) == 4
    owners = [
        sum(
            all(pick in part.supernet.allowed[key] for key, (pick,) in space.selection(architecture).items())
            for part in training.parts
        )
        for architecture in space.enumerate()
    ]
    assert set(owners) == {1}
    splits = [report["splits"] for report in reports if "splits" in report]
    assert [len(level) for level in splits] == [1, 2]
    for part in (part for level in splits for part in level):
        assert sorted(name for group in part["groups"] for name in group) == sorted(part["candidates"])
        kind, edge = part["edge"]
        assert part["values"][f"{kind} {edge}"] == min(part["values"].values())


def test_architecture_weights_stay_equal_until_the_leaves(supernet, dataset):
    training = make(supernet, dataset, num_splits=1)
    before = copy.deepcopy(training.parts[0].alphas.state_dict())
    training.run_step(0)
    assert all(torch.equal(before[name], value) for name, value in training.parts[0].alphas.state_dict().items())
    training.run_step(1)
    before = copy.deepcopy(training.parts[0].alphas.state_dict())
    training.run_step(2)
    assert not all(torch.equal(before[name], value) for name, value in training.parts[0].alphas.state_dict().items())


@pytest.mark.parametrize("restart", [True, False])
def test_splitting_resumes_bit_for_bit(supernet, dataset, restart):
    twin = copy.deepcopy(supernet)
    whole = make(supernet, dataset, restart=restart)
    for step in range(3):
        whole.run_step(step)
    middle = copy.deepcopy(whole.state())
    for step in range(3, whole.num_steps):
        whole.run_step(step)
    other = make(twin, dataset, restart=restart)
    other.load_state(middle)
    for step in range(3, other.num_steps):
        other.run_step(step)
    assert other.partitions == whole.partitions
    expected, found = whole.state().tensors, other.state().tensors
    assert expected.keys() == found.keys()
    assert all(torch.equal(value, found[name]) for name, value in expected.items())


def test_schedules_that_cannot_work_are_refused(supernet, dataset):
    with pytest.raises(ConfigError, match="--splits: expected at most 6, the edges with 2 or more candidates, got 7"):
        make(supernet, dataset, num_splits=7)
    with pytest.raises(ConfigError, match="--splits: expected at most 0, the edges with 9 or more candidates, got 1"):
        make(supernet, dataset, num_splits=1, ways=9)
