"""Real files of every kind that ``--data`` takes, and files that are refused."""

import io
import sys
from pathlib import Path

import numpy
import pytest
from PIL import Image

from nasengine.data import load_dataset
from nasengine.data.digits import load
from nasengine.errors import DataError, DependencyError, UnknownNameError


def picture(value: int, size: tuple[int, int] = (6, 6), mode: str = "RGB") -> Image.Image:
    rng = numpy.random.default_rng(value)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(rng.integers(0, 255, shape, dtype=numpy.uint8), mode)


def png(value: int) -> bytes:
    file = io.BytesIO()
    picture(value).save(file, format="PNG")
    return file.getvalue()


def write_folder(folder: Path, classes: dict[str, int], **options: object) -> Path:
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for index in range(count):
            picture(index, **options).save(folder / name / f"{index}.png")
    return folder


def write_parquet(path: Path, labels: list[int], images: list[object] | None = None) -> None:
    import pyarrow
    from pyarrow import parquet

    cells = images or [{"bytes": png(index), "path": None} for index in range(len(labels))]
    parquet.write_table(pyarrow.table({"img": cells, "label": labels}), path)


def test_folder_of_classes(tmp_path):
    dataset = load_dataset(str(write_folder(tmp_path / "images", {"cat": 10, "dog": 12})), {})
    assert dataset.class_names == ("cat", "dog")
    assert dataset.image_shape == (3, 6, 6)
    assert len(dataset.test) == 4
    assert dataset.augmentation.flip


def test_folder_with_a_test_split_and_grey_images(tmp_path):
    write_folder(tmp_path / "train", {"a": 5, "b": 5}, mode="L")
    write_folder(tmp_path / "test", {"a": 2, "b": 3}, mode="L")
    dataset = load_dataset(str(tmp_path), {})
    assert dataset.image_shape == (1, 6, 6)
    assert (len(dataset.all_training), len(dataset.test)) == (10, 5)


def test_parquet_in_the_layout_of_the_hub(tmp_path):
    write_parquet(tmp_path / "train-00000-of-00002.parquet", [3, 7] * 4)
    write_parquet(tmp_path / "train-00001-of-00002.parquet", [3, 7] * 2)
    write_parquet(tmp_path / "test.parquet", [7, 3])
    dataset = load_dataset(str(tmp_path), {})
    assert dataset.class_names == ("3", "7")
    assert len(dataset.all_training) == 12
    assert dataset.test.labels.tolist() == [1, 0]


@pytest.mark.parametrize("shape", [(12, 5, 5), (12, 5, 5, 3), (12, 3, 5, 5)])
def test_npz_files(tmp_path, shape):
    images = numpy.random.default_rng(0).integers(0, 255, shape, dtype=numpy.uint8)
    numpy.savez(tmp_path / "data.npz", images=images, labels=numpy.arange(12) % 2)
    dataset = load_dataset(str(tmp_path / "data.npz"), {})
    assert dataset.image_shape == (1 if len(shape) == 3 else 3, 5, 5)


def test_npz_with_test_arrays(tmp_path):
    images = numpy.zeros((8, 4, 4), dtype=numpy.uint8)
    labels = numpy.arange(8) % 2
    numpy.savez(tmp_path / "data.npz", x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    assert len(load_dataset(str(tmp_path / "data.npz"), {}).test) == 4


def test_hub_datasets_come_through_the_library(tmp_path, monkeypatch):
    class Split(list):
        column_names = ("image", "label")

        def __getitem__(self, key):
            return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)

    class Library:
        @staticmethod
        def load_dataset(name):
            if name == "missing":
                raise FileNotFoundError("no such dataset")
            rows = [{"image": picture(index), "label": index % 2} for index in range(8)]
            return {"train": Split(rows), "test": Split(rows[:2])}

    monkeypatch.setitem(sys.modules, "datasets", Library)
    assert load_dataset("hub:some/thing", {}).num_classes == 2
    with pytest.raises(DataError, match="hub:missing: expected a dataset that can be loaded, got no such dataset"):
        load_dataset("hub:missing", {})


def test_sixteen_bit_images_keep_their_upper_byte(tmp_path):
    folder = write_folder(tmp_path, {"a": 3, "b": 3}, mode="L")
    ramp = (numpy.arange(36, dtype=numpy.uint16) * 1800).reshape(6, 6)
    Image.fromarray(ramp).save(folder / "a" / "0.png")
    found = load_dataset(str(folder), {})
    images = numpy.concatenate([part.images.numpy() for part in (found.train, found.validation, found.test)])
    assert any(numpy.array_equal(image[0], ramp >> 8) for image in images)


def test_a_class_may_be_named_train(tmp_path):
    assert load_dataset(str(write_folder(tmp_path, {"bus": 5, "train": 5})), {}).class_names == ("bus", "train")


def test_damaged_archives_are_refused(tmp_path):
    images = numpy.zeros((8, 4, 4), dtype=numpy.uint8)
    path = tmp_path / "data.npz"
    numpy.savez(path, images=images, labels=numpy.arange(8) % 2)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:90] + bytes([whole[90] ^ 255]) + whole[91:], b"", b"\x93NUMPY"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"data.npz: expected an .npz file of plain arrays"):
            load_dataset(str(path), {})
    numpy.save(tmp_path / "plain.npy", images)
    (tmp_path / "plain.npy").rename(path)
    with pytest.raises(DataError, match=r"expected an .npz file of plain arrays"):
        load_dataset(str(path), {})


def test_data_that_would_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("nasengine.data.readers.MAX_TOTAL_BYTES", 100)
    numpy.savez(tmp_path / "data.npz", images=numpy.zeros((8, 4, 4), numpy.uint8), labels=numpy.arange(8) % 2)
    with pytest.raises(DataError, match="expected at most .* GiB, got"):
        load_dataset(str(tmp_path / "data.npz"), {})
    write_parquet(tmp_path / "train.parquet", [0, 1])
    with pytest.raises(DataError, match="expected at most .* GiB, got"):
        load_dataset(str(tmp_path), {})


def test_missing_packages_are_named(tmp_path, monkeypatch):
    write_parquet(tmp_path / "train.parquet", [0, 1])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DependencyError, match=r"needs the package pyarrow.*pip install 'nasengine\[data\]'"):
        load_dataset(str(tmp_path), {})


def test_names_and_paths_that_are_none(tmp_path):
    with pytest.raises(UnknownNameError, match="dataset 'digit' is unknown; known: digits; did you mean 'digits'"):
        load_dataset("digit", {"digits": load})
    with pytest.raises(DataError, match="expected a folder, an .npz file or hub:NAME, got nothing there"):
        load_dataset(str(tmp_path / "nothing"), {})
    with pytest.raises(DataError, match="got nothing there"):
        load_dataset("./" + "x" * 300, {})
    (tmp_path / "data.csv").write_text("a,b")
    with pytest.raises(DataError, match="got a file of type .csv"):
        load_dataset(str(tmp_path / "data.csv"), {})


def test_folders_that_cannot_be_used(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="got no images in subfolders"):
        load_dataset(str(tmp_path / "empty"), {})
    with pytest.raises(DataError, match="expected at least 2 classes, got 1: only"):
        load_dataset(str(write_folder(tmp_path / "one", {"only": 5})), {})
    mixed = write_folder(tmp_path / "mixed", {"a": 3, "b": 3})
    picture(0, (9, 9)).save(mixed / "b" / "2.png")
    with pytest.raises(DataError, match=r"b/2.png: expected \(3, 6, 6\) .* got \(3, 9, 9\); resize the images"):
        load_dataset(str(mixed), {})
    corrupt = write_folder(tmp_path / "corrupt", {"a": 3, "b": 3})
    (corrupt / "a" / "1.png").write_bytes((corrupt / "a" / "1.png").read_bytes()[:40])
    with pytest.raises(DataError, match=r"a/1.png: expected an image, got a file that cannot be decoded"):
        load_dataset(str(corrupt), {})
    write_folder(tmp_path / "differ" / "train", {"a": 3, "b": 3})
    write_folder(tmp_path / "differ" / "test", {"a": 3, "c": 3})
    with pytest.raises(
        DataError, match=r"expected the same classes in train and test, got a difference in \['b', 'c'\]"
    ):
        load_dataset(str(tmp_path / "differ"), {})


def test_huge_images_are_refused_before_they_are_decoded(tmp_path):
    folder = write_folder(tmp_path, {"a": 3, "b": 3})
    Image.new("1", (5000, 5000)).save(folder / "a" / "0.png")
    with pytest.raises(DataError, match="expected at most 16777216 pixels"):
        load_dataset(str(folder), {})


def test_parquet_files_that_cannot_be_used(tmp_path):
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "train.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(DataError, match="expected a parquet file"):
        load_dataset(str(tmp_path / "a"), {})
    (tmp_path / "b").mkdir()
    parquet.write_table(pyarrow.table({"x": [1]}), tmp_path / "b" / "train.parquet")
    with pytest.raises(DataError, match=r"expected columns img \(or image\) and label, got \['x'\]"):
        load_dataset(str(tmp_path / "b"), {})
    (tmp_path / "c").mkdir()
    write_parquet(tmp_path / "c" / "train.parquet", [0, 1], [{"bytes": b"junk", "path": None}] * 2)
    with pytest.raises(DataError, match="row 0: expected an image"):
        load_dataset(str(tmp_path / "c"), {})
    (tmp_path / "d").mkdir()
    write_parquet(tmp_path / "d" / "other.parquet", [0, 1])
    with pytest.raises(DataError, match=r"expected train\*.parquet with rows"):
        load_dataset(str(tmp_path / "d"), {})
    (tmp_path / "e").mkdir()
    write_parquet(tmp_path / "e" / "train.parquet", [0, 1] * 3)
    write_parquet(tmp_path / "e" / "test.parquet", [0, 5])
    with pytest.raises(DataError, match=r"test split: expected classes of the training split, got also \[.*5"):
        load_dataset(str(tmp_path / "e"), {})


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": numpy.zeros(3)}, "expected arrays x_train and y_train, or images and labels"),
        ({"images": numpy.zeros((6, 4, 4)), "labels": numpy.arange(6)}, "expected images as bytes"),
        ({"images": numpy.zeros((6, 4, 4, 7), numpy.uint8), "labels": numpy.arange(6)}, "with 1 or 3 channels"),
        ({"images": numpy.zeros((6, 4, 4), numpy.uint8), "labels": numpy.arange(5)}, "expected 6 whole-number labels"),
        ({"images": numpy.zeros((6, 4, 4), numpy.uint8), "labels": numpy.ones(6)}, "got 6 of float64"),
        ({"images": numpy.array([{}] * 6), "labels": numpy.arange(6)}, "expected an .npz file of plain arrays"),
    ],
)
def test_npz_files_that_cannot_be_used(tmp_path, arrays, message):
    numpy.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / "data.npz"), {})
