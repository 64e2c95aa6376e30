"""What files of trained networks are worth: float32 against the network, int8 and float16 against float32.

A network of each space is trained on small images and exported. Test images compare files with the network; calibration
and the choice of its method see training images only. Latency is of one image, with networks and files taking turns in
one process, so that whatever else the machine does meets all alike; medians are reported.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy
import torch

from benchmarks.export_winners import Winner, train_winner
from benchmarks.results import ResultsFile, Row, data_name, machine
from export.calibration import LabelledImages, calibration_images, held_out_images, validation_images
from export.float16 import to_float16
from export.onnx import export_onnx
from export.quantization import QuantizationReport, host_settings, quantize_int8
from export.sessions import open_session, run_images
from nasengine.data import ImageDataset
from nasengine.evaluation import accuracy
from nasengine.graph import cost
from nasengine.pipeline.exporting import export_checked

KEY = ("benchmark", "space", "seed", "data", "epochs", "threads")
RUNS, WARM_UP = 200, 20
GOALS = {"max_deviation": 1e-4, "int8_drop": 0.005, "size_ratio": 0.30, "runtime_ratio": 0.6}
"""Largest values that are aimed at; the share of bytes counts above 100,000 parameters."""
LARGE = 100_000


def run(
    spaces: Sequence[str],
    dataset: ImageDataset,
    results: ResultsFile,
    *,
    seeds: Sequence[int],
    threads: int,
    epochs: int | None,
    report: Callable[[str], None],
) -> Iterator[Row]:
    """One row for each space and seed; those of the results file come from there."""
    for space in spaces:
        for seed in seeds:
            key = {"benchmark": "export", "space": space, "seed": seed, "data": data_name(dataset),
                   "epochs": epochs or "default", "threads": threads}  # fmt: skip
            known = results.find(**key)
            if known is None:
                report(f"{space}, seed {seed}")
                began = time.perf_counter()
                winner = train_winner(space, dataset, seed, epochs)
                known = key | measured(winner, dataset, seed=seed, threads=threads)
                known |= {"seconds": round(time.perf_counter() - began, 1), "machine": machine()}
                results.append(known)
            yield known


def measured(winner: Winner, dataset: ImageDataset, *, seed: int, threads: int, runs: int = RUNS) -> Row:
    """Export a network in every precision and compare."""
    held_out = held_out_images(dataset)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        exported = export_checked(
            winner.network, dataset, folder / "model.onnx", export_onnx, {"genotype": winner.genotype}
        )
        quantized = _int8_files(folder, dataset, seed)
        half = to_float16(folder / "model.onnx", folder / "model.float16.onnx", images=held_out.images)
        counted = cost(winner.network.graph)
        test = accuracy(winner.network, dataset.test, dataset)
        row: Row = {
            "genotype": winner.genotype, "num_parameters": counted.num_parameters, "macs": counted.macs,
            "max_deviation": exported["max_deviation"], "top1_agreement": exported["top1_agreement"],
            "accuracy": round(test, 4), "float16_bytes": half.num_bytes,
            "float16_deviation": half.max_deviation, "float16_agreement": half.top1_agreement,
        }  # fmt: skip
        row |= _int8_figures(quantized["int8"], held_out, test)
        return row | _latencies(winner, held_out, folder, threads=threads, runs=runs, seed=seed)


def _int8_files(folder: Path, dataset: ImageDataset, seed: int) -> dict[str, QuantizationReport]:
    """One with the activation type that suits this processor, and one with the other, for its latency."""
    own = host_settings()
    other = replace(own, activation_type="int8" if own.activation_type == "uint8" else "uint8", methods=("min-max",))
    return {
        name: quantize_int8(
            folder / "model.onnx", folder / f"model.{name}.onnx", settings=settings,
            calibration=calibration_images(dataset, seed=seed), validation=validation_images(dataset),
        )
        for name, settings in (("int8", own), ("other", other))
    }  # fmt: skip


def _int8_figures(report: QuantizationReport, held_out: LabelledImages, test: float) -> Row:
    logits = run_images(open_session(report.path), held_out.images)
    found = float((logits.argmax(1) == held_out.labels.numpy()).mean())
    return {
        "int8_accuracy": round(found, 4), "int8_drop": round(test - found, 4), "method": report.method,
        "activation_type": report.settings.activation_type,
        "deviations": {trial.method: round(trial.deviation, 4) for trial in report.trials},
        "float_bytes": report.float_bytes, "int8_bytes": report.num_bytes,
        "size_ratio": round(report.num_bytes / report.float_bytes, 4),
        "quantization_seconds": round(report.seconds, 1),
    }  # fmt: skip


def _latencies(winner: Winner, held_out: LabelledImages, folder: Path, *, threads: int, runs: int, seed: int) -> Row:
    image = held_out.images[:1].contiguous()
    torch.set_num_threads(threads)
    jobs: dict[str, Callable[[], object]] = {"eager": lambda: winner.network(image)}
    for name, file in (("onnx", "model.onnx"), ("int8", "model.int8.onnx"), ("int8_other", "model.other.onnx"),
                       ("float16", "model.float16.onnx")):  # fmt: skip
        session = open_session(folder / file, threads=threads)
        jobs[name] = lambda session=session: run_images(session, image)  # type: ignore[misc]
    with torch.inference_mode():
        times = in_turns(jobs, runs=runs, seed=seed)
    row: Row = {f"{name}_ms": round(value, 4) for name, value in times.items()}
    return row | {
        "runtime_ratio": round(times["onnx"] / times["eager"], 3),
        "int8_speed_up": round(times["onnx"] / times["int8"], 2),
    }


def in_turns(jobs: Mapping[str, Callable[[], object]], *, runs: int, seed: int) -> dict[str, float]:
    """Median duration of each job in milliseconds; in every round each runs once, in a new random order."""
    rng = random.Random(seed)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(WARM_UP + runs):
        for name in rng.sample(list(jobs), len(jobs)):
            began = time.perf_counter()
            jobs[name]()
            if number >= WARM_UP:
                times[name].append((time.perf_counter() - began) * 1e3)
    return {name: float(numpy.median(values)) for name, values in times.items()}


def misses(row: Row) -> list[str]:
    """Figures of a row that are not what is aimed at.

    >>> misses({"num_parameters": 5, "max_deviation": 2e-4, "top1_agreement": 1.0, "int8_drop": 0.0, "size_ratio": 0.5,
    ...         "runtime_ratio": 0.3})
    ['max_deviation']
    """
    found = [name for name, most in GOALS.items() if row[name] > most]
    if row["num_parameters"] <= LARGE and "size_ratio" in found:
        found.remove("size_ratio")
    return found + ["top1_agreement"] * (row["top1_agreement"] < 1)
