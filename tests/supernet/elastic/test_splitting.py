"""Splits of elastic supernets: the score against explicit backward passes, planted groups, and leaves."""

import copy
import random
from dataclasses import replace

import numpy
import pytest
import torch
import torch.nn.functional as F

from nasengine.data import evaluation_batches
from nasengine.data.batches import random_batches
from nasengine.errors import ConfigError, TrainingError
from nasengine.protocols import NetworkConfig, TrainingRecipe
from nasengine.supernet.elastic import ElasticLeaves, ElasticParts, ElasticSupernet, sandwich, score_layers
from nasengine.supernet.elastic.splitting import layer_gram
from nasengine.supernet.splitting import GradientMatching, SplitSchedule, SplitTraining, best_edge
from search_spaces.mobilenet import MOBILENET

RECIPE = TrainingRecipe(epochs=1, batch_size=40, learning_rate=0.1)
FEW = GradientMatching(max_batches=1, batch_size=20)
KERNELS, EXPANSIONS = (3, 5, 7), (3, 4, 6)


def subnets(space, seed=0):
    rng = random.Random(seed)
    while True:
        yield space.sample_within(space.elastic_choices, rng)


@pytest.fixture
def fresh(elastic_space, dataset):
    return ElasticSupernet(elastic_space, NetworkConfig(dataset.num_classes, dataset.image_shape, channels=16), seed=0)


# --- the score ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1, 3, 5])
def test_gram_is_that_of_extracted_networks(fresh, dataset, layer):
    """Subnets with the largest kernels use weights as they are, so that gradients of networks are those of weights."""
    fresh.double()
    space, key, left_out = fresh.space, ("layer", layer), ("stem/", "head/")
    subnet = space.sample_within(("depth", "expansion", "resolution"), random.Random(layer))
    images, labels = next(evaluation_batches(dataset.train, dataset, 20))
    own = f"nodes.{space.layers[key].prefix}/"
    vectors = []
    for pick in space.allowed[key]:
        network = fresh.extract(space.placed(subnet, key, pick)).train()
        F.cross_entropy(network(images.double()), labels).backward()
        vectors.append(torch.cat([
            weight.grad.flatten() for name, weight in network.named_parameters()
            if not name.startswith((own, *(f"nodes.{prefix}" for prefix in left_out)))
        ]))  # fmt: skip
    stacked = torch.stack(vectors)
    before = copy.deepcopy(fresh.state_dict())
    found = layer_gram(fresh, key, space.allowed[key], subnet, (images.double(), labels), left_out=left_out)
    numpy.testing.assert_allclose(found, (stacked @ stacked.T).numpy(), rtol=1e-6, atol=1e-9)
    assert all(torch.equal(before[name], value) for name, value in fresh.state_dict().items())
    assert all(weight.grad is None for weight in fresh.parameters())


def test_gradients_that_are_not_finite_are_an_error(fresh, dataset):
    with torch.no_grad():
        fresh.nodes["first/projection/conv"].weight.fill_(float("nan"))
    layers = {("layer", 0): (0, 1)}
    with pytest.raises(TrainingError, match="expected finite gradients, got nan or inf"):
        score_layers(fresh, layers, subnets(fresh.space), random_batches(dataset, 20, 0))


# --- planted disagreement -------------------------------------------------------------------------------------------


def make_agreeable(supernet) -> None:
    """All candidates of all layers compute the same: kernels are their centres, only the first channels are read."""
    with torch.no_grad():
        for name, weight in supernet.nodes.named_parameters():
            if not name.startswith("stages/"):
                continue
            if name.endswith("depthwise/conv.weight"):
                centre = weight[:, :, 2:5, 2:5].clone()
                weight.zero_()
                weight[:, :, 2:5, 2:5] = centre
            elif name.endswith("projection/conv.weight"):
                weight[:, weight.shape[1] // 6 :] = 0.0
            elif name.endswith("squeeze/expand.weight"):
                weight.zero_()


def flip_kernels(supernet, prefix, flipped) -> None:
    """Some kernels are the negative of the largest one's centre."""
    signs = [-1.0 if (kernel in flipped) != (7 in flipped) else 1.0 for kernel in KERNELS]
    matrices = supernet.transforms[f"{prefix}/depthwise/conv"].matrices
    with torch.no_grad():
        matrices["5x5"].mul_(signs[1])
        matrices["3x3"].mul_(signs[0] * signs[1])


def flip_expansions(supernet, prefix, flipped) -> None:
    """Channels that only some widths have are copies of the first ones, and are read so that sums have the sign."""
    nodes = supernet.nodes
    count = nodes[f"{prefix}/expansion/conv"].weight.shape[1]
    signs = [-1.0 if width in flipped else 1.0 for width in EXPANSIONS]
    with torch.no_grad():
        for begin in (3 * count, 4 * count):
            for name in ("expansion/conv", "expansion/norm", "depthwise/conv", "depthwise/norm"):
                for weight in nodes[f"{prefix}/{name}"].parameters():
                    weight[begin : begin + count] = weight[:count]
        read = nodes[f"{prefix}/projection/conv"].weight
        read[:, :count] *= signs[0]
        own = read[:, :count].clone() * signs[0]
        read[:, 3 * count : 4 * count] = (signs[1] - signs[0]) * own
        read[:, 4 * count : 5 * count] = (signs[2] - signs[1]) * own


def planted(space, dataset) -> ElasticSupernet:
    supernet = ElasticSupernet(space, NetworkConfig(dataset.num_classes, dataset.image_shape, channels=8), seed=0)
    make_agreeable(supernet)
    return supernet


def best_of(supernet, dataset):
    layers, feed = supernet.allowed, random_batches(dataset, 20, 0)
    return best_edge(score_layers(supernet, layers, subnets(supernet.space), feed, settings=FEW))


@pytest.fixture(scope="session")
def undepth(elastic_space):
    return elastic_space.with_layout(replace(elastic_space.layout, min_blocks=3, resolutions=(224,)))


@pytest.mark.parametrize(
    ("layer", "flip", "flipped"),
    [(0, "k", {3}), (2, "k", {5}), (4, "k", {7}), (4, "k", {3}), (1, "e", {3}), (3, "e", {4}), (5, "e", {6})],
    ids=["0-k3", "2-k5", "4-k7", "4-k3", "1-e3", "3-e4", "5-e6"],
)
def test_planted_groups_are_split_exactly_there(undepth, dataset, layer, flip, flipped):
    """Candidates agree but for some of one layer, which pass on the negative: other candidates make other groups."""
    supernet, key = planted(undepth, dataset), ("layer", layer)
    change = flip_kernels if flip == "k" else flip_expansions
    change(supernet, undepth.layers[key].prefix, flipped)
    best = best_of(supernet, dataset)
    names = undepth.layers[key].candidates
    expected = [any(f"{flip}{value}" in name for value in flipped) for name in names]
    assert best.key == key
    assert {frozenset(group) for group in best.picks()} == {
        frozenset(pick for pick, is_flipped in enumerate(expected) if is_flipped == side) for side in (True, False)
    }
    assert best.value < 0.98


def test_kernels_and_expansions_can_disagree_crosswise(undepth, dataset):
    """Without activations two negatives make a positive: groups are neither of kernels nor of expansions."""
    stages = tuple(replace(stage, activation="identity", squeezes=False) for stage in undepth.layout.stages)
    space = undepth.with_layout(replace(undepth.layout, stages=stages))
    supernet, key = planted(space, dataset), ("layer", 3)
    flip_kernels(supernet, space.layers[key].prefix, {5})
    flip_expansions(supernet, space.layers[key].prefix, {3})
    best = best_of(supernet, dataset)
    assert best.key == key
    crossed = {pick for pick, name in enumerate(space.layers[key].candidates) if ("k5" in name) != ("e3" in name)}
    assert {frozenset(group) for group in best.picks()} == {frozenset(crossed), frozenset(range(9)) - crossed}


def test_where_nothing_is_planted_all_values_are_alike(undepth, dataset):
    supernet = planted(undepth, dataset)
    scores = score_layers(supernet, supernet.allowed, subnets(undepth), random_batches(dataset, 20, 0), settings=FEW)
    assert all(score.value == pytest.approx(1.0, abs=1e-4) for score in scores)


@pytest.mark.parametrize("layer", [1, 4])
def test_ending_a_stage_can_be_what_disagrees(elastic_space, dataset, layer):
    """Blocks whose outputs vanish do what no block does; where they do not, having one makes the difference."""
    supernet, key = planted(elastic_space, dataset), ("layer", layer)
    with torch.no_grad():
        for name, norm in supernet.nodes.items():
            if name.startswith("stages/") and name.endswith("projection/norm") and "blocks/0" not in name:
                norm.weight.fill_(3.0 if name.startswith(elastic_space.layers[key].prefix) else 1e-3)
    best = best_of(supernet, dataset)
    assert best.key == key
    assert {frozenset(group) for group in best.picks()} == {frozenset({9}), frozenset(range(9))}


# --- splitting ------------------------------------------------------------------------------------------------------


def make(supernet, dataset, num_splits=1, warmup=2, **changes):
    schedule = SplitSchedule(warmup, num_splits, leaf_epochs=2, restart=False, settings=FEW, **changes)
    kind = ElasticParts("mobilenet", dataset, RECIPE, schedule, sandwich)
    return SplitTraining(kind, supernet, schedule, seed=0)


@pytest.fixture(scope="session")
def split(elastic_space, dataset):
    """A supernet when it is split, and its leaves."""
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, channels=8)
    training = make(ElasticSupernet(elastic_space, config, seed=0), dataset)
    for step in range(2):
        training.run_step(step)
    whole = copy.deepcopy(training.supernets[0])
    report = training.run_step(2)
    return whole, training, report


def test_leaves_are_disjoint_cover_the_space_and_are_found(split, elastic_space):
    _, training, report = split
    ((part,),) = [report["splits"]]
    assert part["place"] == elastic_space.layers[tuple(part["edge"])].prefix
    assert sorted(name for group in part["groups"] for name in group) == sorted(part["candidates"])
    assert sum(leaf.space.size for leaf in training.leaves) == elastic_space.size
    leaves, rng = ElasticLeaves(training.leaves), random.Random(0)
    found = {}
    for architecture in (elastic_space.sample(rng) for _ in range(60)):
        number = leaves.leaf_of(architecture)
        training.leaves[number].space.validate(architecture)
        found.setdefault(number, architecture)
    assert found.keys() == {0, 1}
    with pytest.raises(ConfigError, match="expected an architecture that one of them holds"):
        ElasticLeaves(training.leaves[:1]).leaf_of(found[1])


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_at_the_split_leaves_compute_what_the_supernet_does(split, elastic_space, dataset, mode):
    whole, training, _ = split
    leaves = ElasticLeaves(copy.deepcopy(training.leaves)).train(mode == "train")
    whole = copy.deepcopy(whole).train(mode == "train")
    images, _ = next(evaluation_batches(dataset.train, dataset, 20))
    rng = random.Random(1)
    with torch.no_grad():
        for architecture in (elastic_space.largest(), *(elastic_space.sample(rng) for _ in range(6))):
            network = leaves.extract(architecture)
            expected = whole(images, architecture)
            torch.testing.assert_close(leaves(images, architecture), expected, rtol=1e-6, atol=1e-6)
            torch.testing.assert_close(network(images), expected, rtol=1e-6, atol=1e-6)


def test_leaves_train_on_their_own_subnets_to_the_end_of_the_cosine(split, dataset):
    _, training, _ = split
    leaf = copy.deepcopy(training.leaves[0])
    before = copy.deepcopy(leaf.state_dict())
    task = training.kind.leaf_training(leaf, seed=0)
    assert task.num_steps == 2
    for architecture in task._subnets(leaf.space.elastic_choices, random.Random(0)):
        leaf.space.validate(architecture)
    metrics = [task.run_step(step) for step in range(task.num_steps)]
    whole = [training.kind.training(leaf, 0, 0).run_step(epoch) for epoch in (2, 3)]
    assert [one["learning_rate"] for one in metrics] == [one["learning_rate"] for one in whole]
    assert set(metrics[0]["elastic"]) == set(leaf.space.elastic_choices)
    assert not torch.equal(before["nodes.stem/conv.weight"], leaf.state_dict()["nodes.stem/conv.weight"])


@pytest.mark.slow
def test_splitting_resumes_bit_for_bit(elastic_space, dataset):
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, channels=8)

    def begin():
        return make(ElasticSupernet(elastic_space, config, seed=0), dataset, num_splits=2, warmup=1, by="random")

    whole = begin()
    states = [copy.deepcopy(whole.state())]
    for step in range(whole.num_steps):
        whole.run_step(step)
        states.append(copy.deepcopy(whole.state()))
    assert len(whole.leaves) == 4
    for number in (2, whole.num_steps):
        other = begin()
        other.load_state(states[number])
        for step in range(number, other.num_steps):
            other.run_step(step)
        assert other.partitions == whole.partitions
        for leaf, expected in zip(other.leaves, whole.leaves, strict=True):
            assert leaf.allowed == expected.allowed
            tensors = expected.state_dict()
            assert all(torch.equal(value, tensors[name]) for name, value in leaf.state_dict().items())


def test_schedules_that_cannot_work_are_refused(fresh, dataset):
    with pytest.raises(ConfigError, match="--splits: expected at most 6, .* got 7"):
        make(fresh, dataset, num_splits=7)
    with pytest.raises(ConfigError, match="--ways: expected 2 to 10, the most candidates that an edge of mobilenet"):
        make(fresh, dataset, ways=11)
    with pytest.raises(ConfigError, match="expected leaves that inherit weights"):
        ElasticParts("mobilenet", dataset, RECIPE, SplitSchedule(1, 1), sandwich)


def test_spaces_without_layers_are_not_split(dataset):
    class Plain:
        """The space, with what a plug-in must have and no more."""

        def __getattr__(self, name):
            if name in ("layers", "allowed", "selection", "placed", "restrict"):
                raise AttributeError(name)
            return getattr(MOBILENET, name)

    supernet = ElasticSupernet(Plain(), NetworkConfig(dataset.num_classes, dataset.image_shape, channels=4))
    with pytest.raises(ConfigError, match="--splits: expected a space that names its layers, got mobilenet"):
        make(supernet, dataset)
