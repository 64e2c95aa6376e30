"""From the text of ``--data`` to a dataset: a name, a folder of images or parquet files, an .npz file, ``hub:NAME``."""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from nasengine.data.batches import Augmentation
from nasengine.data.dataset import ImageDataset, Split, make_dataset
from nasengine.data.readers import LabelledImages, read_folder, read_hub, read_npz, read_parquet
from nasengine.errors import DataError, UnknownNameError

HUB_PREFIX = "hub:"


def load_dataset(source: str, named: Mapping[str, Callable[[], ImageDataset]]) -> ImageDataset:
    """Read the images that ``source`` names.

    Args:
        source: a name among ``named``; a folder with parquet files, with ``train/CLASS/*.png`` and
            ``test/CLASS/*.png``, or with ``CLASS/*.png``; an ``.npz`` file; or ``hub:NAME``, read through the
            ``datasets`` library.
        named: datasets that have a name, such as ``digits``.

    Raises:
        DataError: nothing there, or what is there cannot be used.
        DependencyError: a reader needs a package that is not installed.
    """
    if source in named:
        return named[source]()
    if source.startswith(HUB_PREFIX):
        return _assemble(source, read_hub(source.removeprefix(HUB_PREFIX)))
    path = Path(source)
    if not _exists(path):
        if "/" not in source and "." not in source:
            raise UnknownNameError("dataset", source, named)
        raise DataError(f"data {source}: expected a folder, an .npz file or {HUB_PREFIX}NAME, got nothing there")
    if path.is_file() and path.suffix == ".npz":
        return _assemble(source, read_npz(path))
    if path.is_dir() and any(path.rglob("*.parquet")):
        return _assemble(source, read_parquet(path))
    if path.is_dir():
        return _assemble(source, read_folder(path))
    raise DataError(f"data {source}: expected a folder or an .npz file, got a file of type {path.suffix or 'unknown'}")


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for the file system
        return False


def _assemble(name: str, parts: Mapping[str, LabelledImages]) -> ImageDataset:
    training, test = parts["train"], parts.get("test")
    if test is not None and test.class_names != training.class_names:
        missing = set(training.class_names) ^ set(test.class_names)
        raise DataError(
            f"data {name}: expected the same classes in train and test, got a difference in {sorted(missing)}"
        )
    size = training.images.shape[-1]
    augmentation = Augmentation(crop_padding=max(1, size // 8), flip=True)
    held_out = None if test is None else _split(test)
    return make_dataset(name, _split(training), held_out, training.class_names, augmentation=augmentation)


def _split(part: LabelledImages) -> Split:
    return Split(torch.from_numpy(part.images), torch.from_numpy(part.labels))
