"""Heads against their formulas, and what they learn."""

import math

import numpy
import pytest
import torch

from predictors.gennape.flops_transform import FlopsTransform
from predictors.gennape.heads import ClusterHeads, HeadData, HeadTraining, PairHeads, head_scores, train_head
from predictors.gennape.weighting import agreement_weights, equal_weights, tau


@pytest.fixture(scope="module")
def data() -> HeadData:
    rng = torch.Generator().manual_seed(0)
    points = torch.randn(300, 6, generator=rng)
    shares = torch.rand(300, 2, generator=rng)
    shares = shares / shares.sum(1, keepdim=True)
    return HeadData(points, shares, points[:, 0] + 0.5 * points[:, 1].square(), torch.zeros(300))


def test_scores_are_membership_weighted_sums(data):
    head = ClusterHeads(6, 2, width=4)
    with torch.no_grad():
        each = []
        for cluster in range(2):
            hidden = torch.nn.functional.gelu(data.points @ head.hidden[cluster] + head.hidden_bias[cluster])
            each.append(hidden @ head.out[cluster] + head.out_bias[cluster])
        expected = data.memberships[:, 0] * each[0] + data.memberships[:, 1] * each[1]
        torch.testing.assert_close(head(data.points, data.memberships), expected)


def test_swapping_a_pair_swaps_the_answer(data):
    head = PairHeads(6, 2)
    first, second = (data.points[:50], data.memberships[:50]), (data.points[50:100], data.memberships[50:100])
    with torch.no_grad():
        torch.testing.assert_close(head(first, second), -head(second, first))
        assert float(head(first, first).abs().max()) == 0.0


def test_chances_are_means_over_the_references(data):
    head, references = PairHeads(6, 2), data.rows(torch.arange(7))
    with torch.no_grad():
        odds = [
            head(
                (data.points, data.memberships),
                (references.points[index].expand(300, -1), references.memberships[index].expand(300, -1)),
            ).sigmoid()
            for index in range(7)
        ]
    torch.testing.assert_close(head_scores(head, data, references), torch.stack(odds).mean(0))


@pytest.mark.parametrize("make", [ClusterHeads, PairHeads])
def test_heads_learn_an_order(data, make):
    torch.manual_seed(0)
    head = make(6, 2)
    settings = HeadTraining(noise=0.05, epochs=25, learning_rate=1e-2, batch_size=64)
    train_head(head, data.rows(torch.arange(250)), settings, seed=0)
    rest = data.rows(torch.arange(250, 300))
    found = head_scores(head, rest, data.rows(torch.arange(20)))
    assert tau(found.numpy(), rest.targets.numpy()) > 0.7


def test_families_are_not_compared():
    points = torch.tensor([[0.0], [1.0]]).repeat(20, 1)
    groups = torch.tensor([0.0, 1.0]).repeat(20)
    data = HeadData(points, torch.ones(40, 1), points[:, 0], groups)  # the target tells families apart, nothing else
    head = PairHeads(1, 1)
    before = {name: value.clone() for name, value in head.state_dict().items()}
    train_head(head, data, HeadTraining(epochs=3, weight_decay=0.0), seed=0)
    for name, value in head.state_dict().items():
        torch.testing.assert_close(value, before[name])


def test_transform_is_the_papers():
    accuracies, macs = numpy.array([0.9, 0.8, 0.7]), numpy.array([9e9, 0.0, 1e9])
    found = FlopsTransform.fit(accuracies, macs)
    values = [0.9 / (math.log10(10) + 1), 0.8, 0.7 / (math.log10(2) + 1)]
    expected = (numpy.array(values) - numpy.mean(values)) / numpy.std(values)
    numpy.testing.assert_allclose(found.apply(accuracies, macs), expected)
    numpy.testing.assert_allclose(found.invert(found.apply(accuracies, macs), macs), accuracies)


def test_weights_are_how_well_members_know_the_truth():
    rng = numpy.random.default_rng(0)
    truth = rng.normal(size=20000)
    quality = numpy.array([0.9, 0.6, 0.3, 0.0])
    noise = rng.normal(size=(20000, 4))
    answers = quality * truth[:, None] + numpy.sqrt(1 - quality**2) * noise
    found = agreement_weights("abcd", answers)
    numpy.testing.assert_allclose(found, quality / quality.sum(), atol=0.02)
    twice = agreement_weights(["a", "b", "c", "d", "d"], answers[:, [0, 1, 2, 3, 3]])  # members of one kind share
    numpy.testing.assert_allclose(twice, [*found[:3], found[3] / 2, found[3] / 2], atol=1e-6)


def test_a_member_that_says_nothing_has_no_weight():
    values = numpy.arange(30.0)
    answers = numpy.stack([values, values, values**2, numpy.ones(30), -values], axis=1)
    found = agreement_weights("abcde", answers)
    assert found[3] == found[4] == 0.0
    assert found[:3].min() > 0.3
    numpy.testing.assert_allclose(equal_weights("abcde"), 0.2)
