"""Fills in a model card from the files themselves: sizes, hashes, accuracies and latencies are read off or measured."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from export.card import (
    DataCard,
    FileCard,
    LimitCard,
    MeasuredLatency,
    ModelCard,
    OriginCard,
    PredictedLatency,
    TargetCard,
)
from export.latency import measure
from export.memory import peak_bytes
from export.sessions import open_session, run_images
from export.winner import Winner
from nasengine import __version__
from nasengine.data import ImageDataset, evaluation_batches
from nasengine.graph import cost
from nasengine.pipeline.exporting import file_hash, preprocessing
from nasengine.targets import Target
from nasengine.targets.target import DataType

PACKAGES = ("torch", "onnx", "onnxruntime")


@dataclass(frozen=True, slots=True)
class Made:
    """A file that was just written.

    Args:
        path, data_type: of the file.
        method: how it was made, in words.
        max_deviation: of a logit from the trained network's, where that was looked at.
        validation_drop: accuracy on validation images that it lost against float32; None where not measured.
    """

    path: Path
    data_type: DataType
    method: str
    max_deviation: float | None = None
    validation_drop: float | None = None


def make_card(
    winner: Winner,
    made: Sequence[Made],
    *,
    target: Target | None,
    values: Mapping[str, int],
    licence: str,
    predicted: PredictedLatency | None,
    runs: int,
) -> ModelCard:
    """Measure all files and state what they are.

    Args:
        winner: the network.
        made: its files, the float32 one first.
        target: None where none was asked for.
        values: what the target's limits are about, by name.
        licence: of the weights.
        predicted: latency on the target.
        runs: of each file while latency is measured.
    """
    found = cost(winner.network.graph)
    dataset = winner.dataset
    return ModelCard(
        space=winner.space,
        genotype=winner.genotype,
        num_parameters=found.num_parameters,
        macs=found.macs,
        peak_bytes={file.data_type: peak_bytes(made[0].path, file.data_type) for file in made},
        data=_data(dataset),
        classes=dataset.class_names,
        preprocessing=preprocessing(dataset),
        licence=licence,
        files=_files(made, dataset, threads_of(target), runs),
        target=None if target is None else _target(target, values, predicted),
        made=_origin(winner),
    )


def _data(dataset: ImageDataset) -> DataCard:
    counts = {"num_train": len(dataset.all_training), "num_test": len(dataset.test)}
    return DataCard(name=Path(dataset.name).name, image_shape=dataset.image_shape, **counts)


def _origin(winner: Winner) -> OriginCard:
    versions = {"nasengine": __version__, "Python": platform.python_version()}
    return OriginCard(
        run=winner.run, seed=winner.seed, budget=winner.budget, weights_sha256=winner.weights_sha256,
        versions=versions | {name: version(name) for name in PACKAGES},
    )  # fmt: skip


def threads_of(target: Target | None) -> int:
    """Threads that latency is measured with."""
    return 1 if target is None or target.latency is None else target.latency.threads


def classes_by(path: Path, dataset: ImageDataset) -> Tensor:
    """Index of the class that a file names for each test image, in onnxruntime."""
    session = open_session(path)
    found = [run_images(session, images.cpu()).argmax(1) for images, _ in evaluation_batches(dataset.test, dataset)]
    return torch.cat([torch.from_numpy(part) for part in found])


def _files(made: Sequence[Made], dataset: ImageDataset, threads: int, runs: int) -> tuple[FileCard, ...]:
    latencies = _measured([file.path for file in made], dataset.image_shape, threads, runs)
    named = [classes_by(file.path, dataset) for file in made]
    labels = dataset.test.labels.cpu()
    return tuple(
        FileCard(
            name=file.path.name, data_type=file.data_type, size_bytes=file.path.stat().st_size,
            sha256=file_hash(file.path) or "",
            test_accuracy=float((classes == labels).double().mean()),
            top1_agreement=float((classes == named[0]).double().mean()),
            max_deviation=file.max_deviation, validation_drop=file.validation_drop, method=file.method,
            latency=latency,
        )
        for file, classes, latency in zip(made, named, latencies, strict=True)
    )  # fmt: skip


def _measured(paths: Sequence[Path], shape: tuple[int, int, int], threads: int, runs: int) -> list[MeasuredLatency]:
    return [
        MeasuredLatency(
            p50_ms=found.p50_ms, p95_ms=found.p95_ms, runs=found.runs, warm_up=found.warm_up, threads=found.threads,
            cpu=found.machine.cpu, system=found.machine.system, onnxruntime=found.machine.onnxruntime,
            load_average=found.load_average, process_bytes=found.peak_memory_bytes,
        )
        for found in measure(paths, shape=shape, threads=threads, runs=runs)
    ]  # fmt: skip


def _target(target: Target, values: Mapping[str, int], predicted: PredictedLatency | None) -> TargetCard:
    limits = target.limits.model_dump(exclude_none=True)
    return TargetCard(
        name=target.name,
        title=target.title,
        runtime=target.runtime,
        data_types=target.data_types,
        limits=tuple(LimitCard(name=name, limit=limit, value=values[name]) for name, limit in limits.items()),
        is_this_machine=target.latency is not None and target.latency.measured,
        predicted=predicted,
    )
