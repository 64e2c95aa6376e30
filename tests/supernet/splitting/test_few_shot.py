"""Splitting a supernet level by level."""

import copy
import random

import pytest
import torch

from nasengine.errors import ConfigError
from nasengine.protocols import NetworkConfig, TrainingRecipe
from nasengine.supernet import Supernet
from nasengine.supernet.splitting import PRESETS, GradientMatching, SplitSchedule, SplitTraining, split_cells
from search_spaces.darts import DARTS, S1

RECIPE = TrainingRecipe(epochs=1, batch_size=32, learning_rate=0.05, final_learning_rate=0.001)


def make(supernet, dataset, num_splits=2, **changes) -> SplitTraining:
    schedule = SplitSchedule(
        warmup_epochs=1, num_splits=num_splits, settings=GradientMatching(max_batches=2, stability=None), **changes
    )
    return split_cells(supernet, dataset, RECIPE, schedule, seed=0)


def owners(space, leaves, count=400) -> set[int]:
    """In how many leaves architectures of a space are, for some at random."""
    rng = random.Random(0)
    selections = [space.selection(space.sample(rng)) for _ in range(count)]
    return {
        sum(all(pick in leaf.allowed[key] for key, (pick,) in selection.items()) for leaf in leaves)
        for selection in selections
    }


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({}, 4),
        ({"single_path": True}, 4),
        ({"by": "random"}, 4),
        ({"by": "random", "ways": 3, "num_splits": 1}, 3),
        ({"by": "exhaustive", "num_splits": 1}, 5),
    ],
)
def test_leaves_are_disjoint_and_cover_the_space(supernet, dataset, space, options, count):
    training = make(supernet, dataset, **options)
    reports = [training.run_step(step) for step in range(training.num_steps)]
    assert len(training.leaves) == count
    assert owners(space, training.leaves) == {1}
    assert sum(space.restrict(leaf.allowed).size for leaf in training.leaves) == space.size
    splits = [report["splits"] for report in reports if "splits" in report]
    assert [len(level) for level in splits] == [count ** (level / len(splits)) for level in range(len(splits))]
    for part in (part for level in splits for part in level):
        if options.get("by") is None:
            assert sorted(name for group in part["groups"] for name in group) == sorted(part["candidates"])
            kind, edge = part["edge"]
            assert part["values"][f"{kind} {edge}"] == min(part["values"].values())


def test_leaves_of_cells_that_drop_edges_share_no_choice_on_the_edge_that_was_split(dataset):
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, channels=2, cells=3, searching=True)
    training = make(Supernet(DARTS, config), dataset, num_splits=1, by="random")
    for step in range(training.num_steps):
        training.run_step(step)
    ((partition,),) = training.partitions
    first, second = (set(leaf.allowed[partition.key]) for leaf in training.leaves)
    assert not first & second
    assert len(first | second) == 7  # all but none
    for leaf in training.leaves:
        assert all(leaf.allowed[key] == tuple(range(8)) for key in leaf.allowed if key != partition.key)


def test_random_splits_are_as_equal_as_they_can_be(supernet, dataset):
    training = make(supernet, dataset, num_splits=1, by="random")
    training.run_step(0)
    ((partition,),) = training.partitions or (training.run_step(1) and training.partitions)
    assert sorted(map(len, partition.groups)) == [2, 3]


def test_only_the_edge_that_is_split_decides_what_a_leaf_trains(supernet, dataset):
    """Inherited weights are those of the parent; with a restart they are new."""
    for restart in (True, False):
        training = make(copy.deepcopy(supernet), dataset, num_splits=1, restart=restart, by="random")
        training.run_step(0)
        parent = copy.deepcopy(training.supernets[0].state_dict())
        training.run_step(1)
        for leaf in training.leaves:
            same = [torch.equal(value, parent[name]) for name, value in leaf.named_parameters() if value.ndim == 4]
            assert all(same) != restart


@pytest.mark.parametrize(("restart", "single_path"), [pytest.param(True, False, marks=pytest.mark.slow), (False, True)])
def test_splitting_resumes_bit_for_bit(supernet, dataset, restart, single_path):
    twin = copy.deepcopy(supernet)
    whole = make(supernet, dataset, restart=restart, single_path=single_path)
    states = [copy.deepcopy(whole.state())]
    for step in range(whole.num_steps):
        whole.run_step(step)
        states.append(copy.deepcopy(whole.state()))
    expected = [leaf.state_dict() for leaf in whole.leaves]
    for begin in (2, 3, whole.num_steps):
        other = make(copy.deepcopy(twin), dataset, restart=restart, single_path=single_path)
        other.load_state(states[begin])
        for step in range(begin, other.num_steps):
            other.run_step(step)
        assert other.partitions == whole.partitions
        for leaf, tensors in zip(other.leaves, expected, strict=True):
            assert all(torch.equal(value, tensors[name]) for name, value in leaf.state_dict().items())


def test_presets_have_the_published_numbers():
    darts, small, paths = (PRESETS[name] for name in ("darts", "nasbench201", "nasbench201-single-path"))
    assert (darts.warmup_epochs, darts.epochs_between, darts.num_splits, darts.leaf_epochs) == (2, 2, 3, 15)
    assert (small.warmup_epochs, small.epochs_between, small.num_splits, small.leaf_epochs) == (15, 15, 2, 30)
    assert (paths.warmup_epochs, paths.epochs_between, paths.num_splits, paths.leaf_epochs) == (20, 20, 2, 50)
    assert all(preset.settings.max_batches == 100 and preset.settings.stability is None for preset in PRESETS.values())


def test_edges_that_were_split_can_be_left_alone(supernet, dataset):
    training = make(supernet, dataset, num_splits=3, split_again=False, by="random")
    for step in range(training.num_steps):
        training.run_step(step)
    for leaf in training.leaves:
        counts = sorted(len(picks) for picks in leaf.allowed.values())
        assert counts[3:] == [5, 5, 5]
        assert set(counts[:3]) <= {2, 3}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_splits": 7}, "--splits: expected at most 6, the edges with 2 or more candidates, got 7"),
        ({"num_splits": 1, "ways": 9}, "--ways: expected 2 to 5, the most candidates that an edge of nasbench201 has"),
        ({"num_splits": 1, "ways": 1}, "--ways: expected 2 to 5"),
        ({"num_splits": 0}, "--splits: expected at least 1"),
    ],
)
def test_schedules_that_cannot_work_are_refused(supernet, dataset, changes, message):
    with pytest.raises(ConfigError, match=message):
        make(supernet, dataset, **changes)


def test_spaces_without_splittable_edges_are_refused(dataset):
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, channels=2, cells=3, searching=True)
    whole = S1.supergraph(config).everything()
    single = Supernet(S1, config, allowed={key: picks[:1] for key, picks in whole.items()})
    with pytest.raises(ConfigError, match="expected a space with an edge of 2 or more candidates, got darts_s1"):
        make(single, dataset, num_splits=1)
