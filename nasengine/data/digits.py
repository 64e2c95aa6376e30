"""The embedded dataset: 1,797 real scans of handwritten digits, 8x8 pixels (Alpaydin and Kaynak, 1998; UCI)."""

import torch

from nasengine.data.batches import Augmentation
from nasengine.data.dataset import ImageDataset, Split, make_dataset

MAX_VALUE = 16


def load() -> ImageDataset:
    """Digits as scikit-learn ships them; no download. A fifth is held out for the test, stratified by class."""
    from sklearn.datasets import load_digits

    content = load_digits()
    images = torch.from_numpy(content.images * (255 / MAX_VALUE)).round().to(torch.uint8)[:, None]
    split = Split(images, torch.from_numpy(content.target).long())
    names = tuple(str(name) for name in content.target_names)
    # A mirrored or cropped digit of 8x8 pixels is often no digit any more, so nothing is augmented.
    return make_dataset("digits", split, None, names, augmentation=Augmentation())
