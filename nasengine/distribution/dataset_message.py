"""Images as one message, so that machines need not have them."""

from dataclasses import asdict, fields
from typing import Any

from nasengine.checkpoint import pack, unpack
from nasengine.data import Augmentation, ImageDataset, Split
from nasengine.protocols import TaskState

SPLITS, PARTS = ("train", "validation", "test"), ("images", "labels")


def dataset_message(dataset: ImageDataset) -> bytes:
    """Images, labels and all that is known about them."""
    splits = {name: getattr(dataset, name) for name in SPLITS}
    tensors = {
        f"{name}.{part}": getattr(split, part) for name, split in splits.items() for part in ("images", "labels")
    }
    plain = {field.name: getattr(dataset, field.name) for field in fields(dataset) if field.name not in SPLITS}
    return pack(TaskState(tensors, {**plain, "augmentation": asdict(dataset.augmentation)}))


def read_dataset(content: bytes) -> ImageDataset:
    """The dataset of a message.

    Raises:
        StoreError: the bytes are no message.
    """
    state = unpack(content)
    content_of: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in state.values.items()
    }
    content_of["augmentation"] = Augmentation(**state.values["augmentation"])
    for name in SPLITS:
        content_of[name] = Split(*(state.tensors[f"{name}.{part}"] for part in PARTS))
    return ImageDataset(**content_of)
