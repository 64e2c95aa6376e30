"""Comparisons with early stopping: the decisions of full passes from fewer images."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasengine.selection.comparison import Stopping, compare


def images(count: int, batch_size: int = 50):
    """Batches whose images are their own numbers."""
    numbers = torch.arange(count)
    for part in numbers.split(batch_size):
        yield part.float()[:, None, None, None], part


def damages(means: list[float], spread: float, count: int = 1000, seed: int = 0):
    """Damage of each change on each image: a common part, a mean of its own, and noise."""
    generator = torch.Generator().manual_seed(seed)
    common = torch.randn(count, generator=generator)
    values = [mean + common + spread * torch.randn(count, generator=generator) for mean in means]
    return values, lambda change, batch: values[change][batch[1]]


@pytest.mark.parametrize("most", [True, False])
def test_clear_cases_are_decided_early(most):
    values, damage = damages([0.0, 0.5, 1.0], spread=0.3)
    found = compare([0, 1, 2], images(1000), 1000, damage, most=most, stopping=Stopping())
    assert found.chosen == (2 if most else 0)
    assert found.num_passes == pytest.approx(3 * 200 / 1000)
    assert found.damage[0] == pytest.approx(float(values[0][:200].mean()), abs=1e-5)


def test_without_stopping_all_images_count():
    values, damage = damages([0.0, 0.5, 1.0], spread=0.3)
    found = compare([0, 1, 2], images(1000), 1000, damage, most=True, stopping=Stopping(None))
    assert found.num_passes == 3.0
    assert found.num_images == {0: 1000, 1: 1000, 2: 1000}
    assert found.damage[1] == pytest.approx(float(values[1].mean()), abs=1e-5)


def test_close_cases_are_decided_by_all_images():
    values, damage = damages([0.0, 0.0, -3.0], spread=1.0)
    found = compare([0, 1, 2], images(1000), 1000, damage, most=True, stopping=Stopping(20.0))
    assert found.num_images[0] == found.num_images[1] == 1000
    assert found.chosen == max((0, 1), key=lambda change: float(values[change].mean()))
    assert found.num_images[2] < 1000


def test_of_equal_changes_the_first_wins():
    same = torch.rand(200)
    for most in (True, False):
        found = compare(["b", "a"], images(200), 200, lambda _, batch: same[batch[1]], most=most, stopping=Stopping())
        assert found.chosen == "b"
        assert found.num_passes == 2.0


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6))
def test_decisions_are_those_of_full_passes(seed):
    generator = torch.Generator().manual_seed(seed)
    means = torch.rand(5, generator=generator).tolist()
    values, damage = damages(means, spread=0.5, seed=seed)
    found = compare(list(range(5)), images(1000), 1000, damage, most=True, stopping=Stopping(4.0))
    assert found.chosen == max(range(5), key=lambda change: float(values[change].mean()))


def test_default_decides_as_full_passes_do_from_a_fraction_of_the_images():
    same, passes = 0, 0.0
    for seed in range(200):
        means = torch.rand(5, generator=torch.Generator().manual_seed(seed)).tolist()
        values, damage = damages(means, spread=0.5, seed=seed)
        found = compare(list(range(5)), images(1000), 1000, damage, most=True, stopping=Stopping())
        same += found.chosen == max(range(5), key=lambda change: float(values[change].mean()))
        passes += found.num_passes / 5
    assert same >= 195
    assert passes / 200 < 0.35
