"""Readers of labelled images. All files are untrusted: sizes are limited, nothing is unpickled or executed."""

import io
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from nasengine.errors import DataError, DependencyError

MAX_PIXELS = 4096 * 4096
MAX_TOTAL_BYTES = 8 * 2**30
IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
IMAGE_COLUMNS, LABEL_COLUMNS = ("img", "image"), ("label", "fine_label", "labels")
DAMAGED_ARCHIVE = (ValueError, OSError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
TRAIN_NAMES, TEST_NAMES = ("train", "training"), ("test", "valid", "validation", "val")


@dataclass(frozen=True)
class LabelledImages:
    """Bytes of shape (num_images, channels, height, width), class indices, and the names of the classes."""

    images: numpy.ndarray
    labels: numpy.ndarray
    class_names: tuple[str, ...]


def read_folder(folder: Path) -> dict[str, LabelledImages]:
    """``train/CLASS/*.png`` and ``test/CLASS/*.png``, or ``CLASS/*.png`` without a test split."""
    parts = {}
    for part, names in (("train", TRAIN_NAMES), ("test", TEST_NAMES)):
        found = next((folder / name for name in names if _holds_classes(folder / name)), None)
        if found is not None:
            parts[part] = _read_classes(found)
    return parts if "train" in parts else {"train": _read_classes(folder)}


def _holds_classes(folder: Path) -> bool:
    """Whether a folder is a split: it has folders of its own, where a class only has images."""
    return folder.is_dir() and any(path.is_dir() for path in folder.iterdir())


def _read_classes(folder: Path) -> LabelledImages:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = [
        (path, index)
        for index, name in enumerate(classes)
        for path in sorted(name.rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not files:
        raise DataError(
            f"data folder {folder}: expected CLASS/*.png (or train/CLASS/ and test/CLASS/), got no images in subfolders"
        )
    images = _stack(((str(path), _decode(path, str(path))) for path, _ in files), len(files))
    labels = numpy.array([index for _, index in files], dtype=numpy.int64)
    return LabelledImages(images, labels, tuple(path.name for path in classes))


def read_npz(path: Path) -> dict[str, LabelledImages]:
    """Arrays ``x_train, y_train`` and, if there, ``x_test, y_test``; or ``images, labels``.

    Images are bytes of shape (n, height, width), (n, height, width, channels) or (n, channels, height, width).
    """
    pairs = {"train": (("x_train", "y_train"), ("images", "labels")), "test": (("x_test", "y_test"),)}
    parts = {}
    try:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as content:
            _check_total(sum(entry.file_size for entry in content.zip.infolist()), str(path))
            for part, names in pairs.items():
                for image_key, label_key in names:
                    if image_key in content and label_key in content:
                        where = f"data {path}, arrays {image_key} and {label_key}"
                        parts[part] = _from_arrays(content[image_key], content[label_key], where)
            keys = list(content)
    except DataError:
        raise
    except (*DAMAGED_ARCHIVE, TypeError, AttributeError) as fault:
        raise DataError(f"data {path}: expected an .npz file of plain arrays, got {fault}") from fault
    if "train" not in parts:
        raise DataError(f"data {path}: expected arrays x_train and y_train, or images and labels, got {keys}")
    return _with_common_classes(parts)


def _from_arrays(images: numpy.ndarray, labels: numpy.ndarray, where: str) -> LabelledImages:
    if images.dtype != numpy.uint8:
        raise DataError(f"{where}: expected images as bytes (uint8, 0 to 255), got {images.dtype}")
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[3] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise DataError(f"{where}: expected (n, height, width, channels) with 1 or 3 channels, got {images.shape}")
    labels = labels.reshape(-1)
    if len(labels) != len(images) or not numpy.issubdtype(labels.dtype, numpy.integer):
        raise DataError(f"{where}: expected {len(images)} whole-number labels, got {len(labels)} of {labels.dtype}")
    names = tuple(str(value) for value in numpy.unique(labels))
    return LabelledImages(numpy.ascontiguousarray(images), labels.astype(numpy.int64), names)


def read_parquet(folder: Path) -> dict[str, LabelledImages]:
    """Files in the layout of the public hub: columns ``img`` (a struct with ``bytes``) and ``label``.

    A file belongs to the split whose name its own name starts with: ``train-00000-of-00001.parquet``, ``test.parquet``.
    """
    parquet = _import("pyarrow.parquet", "pyarrow")
    files = sorted(folder.rglob("*.parquet"))
    parts = {}
    for part, names in (("train", TRAIN_NAMES), ("test", TEST_NAMES)):
        chosen = next((found for name in names if (found := [f for f in files if f.name.startswith(name)])), [])
        rows = [row for path in chosen for row in _parquet_rows(parquet, path)]
        if rows:
            parts[part] = _from_rows(rows, folder)
    if "train" not in parts:
        raise DataError(f"data {folder}: expected train*.parquet with rows, got {[path.name for path in files]}")
    return _with_common_classes(parts)


def _parquet_rows(parquet: Any, path: Path) -> list[tuple[str, Any, Any]]:
    try:
        layout = parquet.ParquetFile(path).metadata
        _check_total(sum(layout.row_group(index).total_byte_size for index in range(layout.num_row_groups)), str(path))
        table = parquet.read_table(path)
    except DataError:
        raise
    except (OSError, ValueError) as fault:
        raise DataError(f"data {path}: expected a parquet file, got {str(fault).splitlines()[0]}") from fault
    image_column = next((name for name in IMAGE_COLUMNS if name in table.column_names), None)
    label_column = next((name for name in LABEL_COLUMNS if name in table.column_names), None)
    if image_column is None or label_column is None:
        raise DataError(f"data {path}: expected columns img (or image) and label, got {table.column_names}")
    cells = table.column(image_column).to_pylist()
    content = [cell.get("bytes") if isinstance(cell, Mapping) else cell for cell in cells]
    labels = table.column(label_column).to_pylist()
    return [(f"{path}, row {row}", item, label) for row, (item, label) in enumerate(zip(content, labels, strict=True))]


def _from_rows(rows: Sequence[tuple[str, Any, Any]], source: Path) -> LabelledImages:
    for where, content, label in rows:
        if not isinstance(content, bytes) or not isinstance(label, int):
            raise DataError(f"data {where}: expected image bytes and a whole-number label, got {label!r}")
    images = _stack(((where, _decode(io.BytesIO(content), where)) for where, content, _ in rows), len(rows))
    labels = numpy.array([label for _, _, label in rows], dtype=numpy.int64)
    return LabelledImages(images, labels, tuple(str(value) for value in numpy.unique(labels)))


def read_hub(name: str) -> dict[str, LabelledImages]:
    """A dataset of the public hub, through the ``datasets`` library and its cache."""
    datasets = _import("datasets", "datasets", "hub")
    try:
        content = datasets.load_dataset(name)
    except (OSError, ValueError, RuntimeError) as fault:
        raise DataError(f"data hub:{name}: expected a dataset that can be loaded, got {fault}") from fault
    parts = {}
    for part, names in (("train", TRAIN_NAMES), ("test", TEST_NAMES)):
        split = next((content[label] for label in names if label in content), None)
        if split is not None:
            parts[part] = _from_hub_split(split, f"hub:{name}, split {part}")
    if "train" not in parts:
        raise DataError(f"data hub:{name}: expected a split train, got {list(content)}")
    return _with_common_classes(parts)


def _from_hub_split(split: Any, where: str) -> LabelledImages:
    image_column = next((name for name in IMAGE_COLUMNS if name in split.column_names), None)
    label_column = next((name for name in LABEL_COLUMNS if name in split.column_names), None)
    if image_column is None or label_column is None:
        raise DataError(f"data {where}: expected columns img (or image) and label, got {split.column_names}")
    images = _stack(
        ((f"{where}, row {row}", _to_array(item[image_column])) for row, item in enumerate(split)), len(split)
    )
    labels = numpy.array(split[label_column], dtype=numpy.int64)
    return LabelledImages(images, labels, tuple(str(value) for value in numpy.unique(labels)))


def _with_common_classes(parts: dict[str, LabelledImages]) -> dict[str, LabelledImages]:
    """Number the classes of all parts from 0, by the classes of the training part."""
    values = numpy.unique(parts["train"].labels)
    numbered = {}
    for part, content in parts.items():
        unknown = set(numpy.unique(content.labels)) - set(values)
        if unknown:
            raise DataError(f"data, {part} split: expected classes of the training split, got also {sorted(unknown)}")
        names = tuple(str(value) for value in values)
        numbered[part] = LabelledImages(content.images, numpy.searchsorted(values, content.labels), names)
    return numbered


def _decode(source: Any, where: str) -> numpy.ndarray:
    image_module = _import("PIL.Image", "pillow")
    try:
        with image_module.open(source) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f"data {where}: expected at most {MAX_PIXELS} pixels, got {image.size}")
            return _to_array(image)
    except (OSError, SyntaxError, ValueError, image_module.DecompressionBombError) as fault:
        if isinstance(fault, DataError):
            raise DataError(f"data {where}: {str(fault).removeprefix(f'data {where}: ')}") from fault
        raise DataError(f"data {where}: expected an image, got a file that cannot be decoded ({fault})") from fault


def _to_array(image: Any) -> numpy.ndarray:
    """Bytes of shape (channels, height, width): one channel for grey images, three for all others."""
    if image.mode.startswith("I;16"):
        return (numpy.asarray(image).astype(numpy.uint16) >> 8).astype(numpy.uint8)[None]
    if image.mode in ("I", "F"):
        raise DataError(f"expected images of 8 or 16 bits, got one of 32 bits (mode {image.mode}); convert it first")
    grey = image.mode in ("L", "1")
    pixels = numpy.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _stack(images: Iterable[tuple[str, numpy.ndarray]], count: int) -> numpy.ndarray:
    result: numpy.ndarray | None = None
    for index, (where, pixels) in enumerate(images):
        if result is None:
            if pixels.nbytes * count > MAX_TOTAL_BYTES:
                raise DataError(
                    f"data {where}: expected all images to fit into {MAX_TOTAL_BYTES // 2**30} GiB, "
                    f"got {count} of {pixels.nbytes} bytes; use fewer or smaller ones"
                )
            result = numpy.empty((count, *pixels.shape), dtype=numpy.uint8)
        if pixels.shape != result.shape[1:]:
            raise DataError(
                f"data {where}: expected {result.shape[1:]} (channels, height, width) as in the first image, "
                f"got {pixels.shape}; resize the images to one size first"
            )
        result[index] = pixels
    assert result is not None
    return result


def _check_total(size: int, where: str) -> None:
    if size > MAX_TOTAL_BYTES:
        raise DataError(
            f"data {where}: expected at most {MAX_TOTAL_BYTES // 2**30} GiB, got {size} bytes; use fewer images"
        )


def _import(module: str, package: str, extra: str = "data") -> Any:
    from importlib import import_module

    try:
        return import_module(module)
    except ImportError as fault:
        raise DependencyError(
            f"reading this data needs the package {package}, which is not installed: pip install 'nasengine[{extra}]'"
        ) from fault
