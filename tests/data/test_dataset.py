"""Splits, the embedded digits, and batches."""

import numpy
import pytest
import torch

from nasengine.data import Augmentation, batches, evaluation_batches
from nasengine.data.batches import augment
from nasengine.data.dataset import Split, channel_statistics, make_dataset, split_by_class
from nasengine.data.digits import load
from nasengine.errors import DataError


def test_digits_are_split_by_class_without_overlap():
    digits = load()
    assert digits.image_shape == (1, 8, 8)
    assert digits.num_classes == 10
    parts = (digits.train, digits.validation, digits.test)
    assert sum(len(part) for part in parts) == 1797
    assert abs(len(digits.train) - len(digits.validation)) <= 10
    for part in parts:
        counts = torch.bincount(part.labels).float()
        assert counts.max() / counts.min() < 1.1
    assert len(digits.all_training) == len(digits.train) + len(digits.validation)
    assert digits.augmentation == Augmentation()


def test_digits_keep_their_values():
    from sklearn.datasets import load_digits

    ours = load()
    total = sum(part.images.sum(dtype=torch.long).item() for part in (ours.train, ours.validation, ours.test))
    assert total == pytest.approx(load_digits().images.sum() * 255 / 16, rel=1e-3)


def test_normalised_training_images_have_mean_0_and_std_1():
    digits = load()
    both = torch.cat(
        [images for part in (digits.train, digits.validation) for images, _ in evaluation_batches(part, digits)]
    )
    assert both.mean().item() == pytest.approx(0, abs=1e-4)
    assert both.std().item() == pytest.approx(1, abs=1e-4)


def test_statistics_are_exact_and_do_not_depend_on_the_number_of_threads():
    images = torch.randint(0, 256, (1009, 2, 9, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = images.double() / 255
    mean, std = channel_statistics(images)
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), rel=1e-12)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert channel_statistics(images) == (mean, std)
    finally:
        torch.set_num_threads(before)


def test_evaluation_batches_are_never_left_with_one_image():
    digits = load()
    sizes = [len(labels) for _, labels in evaluation_batches(digits.train, digits, len(digits.train) - 1)]
    assert sum(sizes) == len(digits.train)
    assert min(sizes) > 300


def test_a_pass_sees_every_image_once_in_nearly_equal_batches():
    digits = load()
    feed = list(batches(digits.train, digits, 64, torch.Generator().manual_seed(0)))
    sizes = [len(labels) for _, labels in feed]
    assert sum(sizes) == len(digits.train)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 64
    again = list(batches(digits.train, digits, 64, torch.Generator().manual_seed(0)))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(feed, again, strict=True))


def test_reduced_datasets_keep_their_classes():
    digits = load()
    small = digits.reduced(100, 50, 4, seed=0)
    assert small.image_shape == (1, 4, 4)
    assert 45 <= len(small.train) <= 55
    assert len(set(small.train.labels.tolist())) == 10
    assert digits.reduced(None, None, None, seed=0).fingerprint() == digits.fingerprint()
    assert small.fingerprint() != digits.fingerprint()


def test_crops_are_windows_of_the_padded_image():
    images = torch.arange(1, 1 + 2 * 16.0).reshape(2, 1, 4, 4)
    cropped = augment(images, Augmentation(crop_padding=1), torch.Generator().manual_seed(0))
    padded = torch.nn.functional.pad(images, (1, 1, 1, 1))
    for image, whole in zip(cropped, padded, strict=True):
        windows = [whole[:, y : y + 4, x : x + 4] for y in range(3) for x in range(3)]
        assert any(torch.equal(image, window) for window in windows)


def test_flips_mirror_half_of_the_images_and_cutout_blanks_a_square():
    images = torch.arange(1.0, 10.0).reshape(1, 1, 3, 3).repeat(400, 1, 1, 1)
    flipped = augment(images, Augmentation(flip=True), torch.Generator().manual_seed(0))
    share = (flipped[:, 0, 0, 0] == 3).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.1)
    blanked = augment(torch.ones(50, 3, 8, 8), Augmentation(cutout=3), torch.Generator().manual_seed(0))
    zeros = (blanked == 0).sum((1, 2, 3))
    assert zeros.max() == 27
    assert zeros.min() >= 12  # at a corner


def grey(labels: list[int], size: int = 4) -> Split:
    return Split(torch.zeros(len(labels), 1, size, size, dtype=torch.uint8), torch.tensor(labels, dtype=torch.long))


@pytest.mark.parametrize(
    ("training", "test", "names", "message"),
    [
        (grey([]), None, ("a",), "expected images, got none"),
        (grey([0] * 4), None, ("a",), "expected at least 2 classes, got 1: a"),
        (grey([0, 0, 0, 0, 1, 1]), None, ("a", "b"), "class b: expected at least 3 training images, got 2"),
        (grey([0, 0, 0, 1, 1, 1]), grey([]), ("a", "b"), "expected test images, got an empty test split"),
        (grey([0, 0, 0, 1, 1, 1]), grey([0, 1], 5), ("a", "b"), r"expected test images of \(1, 4, 4\)"),
    ],
)
def test_unusable_data_is_refused(training, test, names, message):
    with pytest.raises(DataError, match=message):
        make_dataset("x", training, test, names, augmentation=Augmentation())


def test_splits_hold_their_share_of_every_class():
    labels = torch.from_numpy(numpy.repeat([0, 1, 2], [10, 20, 30]))
    first, second = split_by_class(labels, 0.3, seed=0)
    assert torch.bincount(labels[first]).tolist() == [3, 6, 9]
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(60))
