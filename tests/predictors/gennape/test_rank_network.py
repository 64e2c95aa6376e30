"""Perceptrons that learn order."""

import numpy
from scipy.stats import kendalltau

from predictors.gennape.rank_network import RankNetwork


def test_learns_order_and_scale_and_comes_back_from_tensors(cells, targets):
    member = RankNetwork(num_networks=2, max_steps=300)
    member.fit(cells[:80], targets[:80], seed=0)
    found, std = member.predict(cells[80:])
    assert std is None
    assert kendalltau(found, targets[80:]).statistic > 0.75
    assert numpy.abs(found - targets[80:]).mean() < 0.5
    numpy.testing.assert_array_equal(RankNetwork.from_tensors(member.tensors()).predict(cells[80:])[0], found)


def test_seeds_decide(cells, targets):
    members = [RankNetwork(num_networks=1, max_steps=20) for _ in range(3)]
    for member, seed in zip(members, (0, 0, 1), strict=True):
        member.fit(cells[:40], targets[:40], seed)
    same, again, other = (member.predict(cells[40:])[0] for member in members)
    assert (same == again).all()
    assert (same != other).any()
