"""Ranges of the values inside a network, which decide how finely eight bits can tell them apart.

Wu et al., 2020, arXiv 2004.09602, section 5.2, compare the three ways that are offered here. onnxruntime has them too,
but as it calls them the entropy's threshold can be nothing else than the largest value (128 bins for 128 levels), and
the histograms of all values of all batches are in memory at once. Here each value is seen twice: first for the smallest
and largest one, then for a histogram between them.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy
import onnx
import onnxruntime
import torch
from torch import Tensor

Method = Literal["min-max", "entropy", "percentile"]
METHODS: tuple[Method, ...] = ("min-max", "entropy", "percentile")
BATCH_SIZE = 16
NUM_BINS = 2048
NUM_LEVELS = 256
SMALLEST_SHARE = 16
"""The entropy's threshold is at least this part of the largest value: a sixteenth."""
NUM_THRESHOLDS = 64


@dataclass(frozen=True, slots=True)
class ValueStatistics:
    """Values of one tensor over all images: smallest, largest, and how many lie in each of equal parts between them."""

    low: float
    high: float
    counts: numpy.ndarray


Range = tuple[float, float]


def value_statistics(path: Path, images: Tensor, folder: Path) -> dict[str, ValueStatistics]:
    """Statistics of every float32 tensor that a file computes, and of its input.

    Args:
        path: ONNX file.
        images: what it is run on.
        folder: for a temporary file.
    """
    opened = _with_all_outputs(path, folder)
    lows: dict[str, float] = {}
    highs: dict[str, float] = {}
    for name, values in _values(opened, images):
        lows[name] = min(lows.get(name, 0.0), float(values.min()))  # zero is always among them, as padding is zero
        highs[name] = max(highs.get(name, 0.0), float(values.max()))
    counts = {name: numpy.zeros(NUM_BINS) for name in lows}
    for name, values in _values(opened, images):
        if lows[name] < highs[name]:
            found = torch.histc(torch.from_numpy(values).flatten(), NUM_BINS, lows[name], highs[name])
            counts[name] += found.numpy()
    return {name: ValueStatistics(lows[name], highs[name], counts[name]) for name in lows}


def ranges_by(
    method: Method, statistics: Mapping[str, ValueStatistics], percentile: float = 99.99
) -> dict[str, tuple[float, float]]:
    """The range of each tensor that is kept; values outside become its ends.

    Args:
        method: ``min-max`` keeps all; ``percentile`` leaves out the same share on both sides; ``entropy`` takes the
            threshold whose 256 levels lose least information.
        statistics: from ``value_statistics``.
        percentile: of the values that lie inside, with that method.

    >>> counts = numpy.zeros(NUM_BINS)
    >>> counts[0], counts[512], counts[-1] = 1, 99_998, 1
    >>> found = ranges_by("percentile", {"x": ValueStatistics(0.0, 8.0, counts)})
    >>> [round(end, 2) for end in found["x"]]
    [0.0, 2.0]
    """
    ways: dict[Method, Callable[[ValueStatistics], Range]] = {
        "min-max": lambda entry: (entry.low, entry.high),
        "percentile": lambda entry: _percentile(entry, percentile),
        "entropy": _least_divergence,
    }
    return {
        name: ways[method](entry) if entry.counts.any() else (entry.low, entry.high)
        for name, entry in statistics.items()
    }


def _with_all_outputs(path: Path, folder: Path) -> onnxruntime.InferenceSession:
    """The file with every tensor as an output, and nothing optimised away."""
    model = onnx.load(path)
    known = {entry.name for entry in model.graph.output}
    names = dict.fromkeys(name for node in model.graph.node for name in node.output if name)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in known)
    observed = folder / "observed.onnx"
    onnx.save_model(model, observed)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(observed), options, providers=["CPUExecutionProvider"])


def _values(session: onnxruntime.InferenceSession, images: Tensor) -> Iterator[tuple[str, numpy.ndarray]]:
    entry = session.get_inputs()[0]
    size = entry.shape[0] if isinstance(entry.shape[0], int) else BATCH_SIZE
    names = [output.name for output in session.get_outputs()]
    for batch in images.split(size):
        values = batch.contiguous().numpy()
        yield entry.name, values
        for name, found in zip(names, session.run(None, {entry.name: values}), strict=True):
            if found.dtype == numpy.float32 and found.size:
                yield name, found


def _edges(entry: ValueStatistics) -> numpy.ndarray:
    return numpy.linspace(entry.low, entry.high, NUM_BINS + 1)


def _percentile(entry: ValueStatistics, percentile: float) -> Range:
    """Cut the same share of the values from both ends; zero stays inside."""
    inside = numpy.cumsum(entry.counts) / entry.counts.sum()
    cut = (1 - percentile / 100) / 2
    first = int(numpy.searchsorted(inside, cut, side="right"))
    last = int(numpy.searchsorted(inside, 1 - cut, side="left"))
    edges = _edges(entry)
    return min(0.0, float(edges[first])), max(0.0, float(edges[min(last, NUM_BINS - 1) + 1]))


def _least_divergence(entry: ValueStatistics) -> Range:
    """The symmetric threshold with the smallest divergence of the quantised values from the values themselves.

    Exact zeros, half of what comes out of a ReLU, are not counted: they are never rounded, and would hide the rest.
    """
    edges = _edges(entry)
    counts = entry.counts.copy()
    zero = min(int(numpy.searchsorted(edges, 0.0, side="right")) - 1, NUM_BINS - 1)
    counts[zero] = counts[zero + 1] if zero + 1 < NUM_BINS else counts[zero - 1]
    largest = max(-entry.low, entry.high)
    best, least = (entry.low, entry.high), numpy.inf
    for threshold in numpy.linspace(largest, largest / SMALLEST_SHARE, NUM_THRESHOLDS):
        first = int(numpy.searchsorted(edges, -threshold, side="right")) - 1
        last = int(numpy.searchsorted(edges, threshold, side="left"))
        first, last = max(first, 0), min(last, NUM_BINS)
        if last - first < NUM_LEVELS:
            break
        found = _divergence(counts, first, last)
        if found < least:
            best, least = (float(edges[first]), float(edges[last])), found
    return min(0.0, best[0]), max(0.0, best[1])


def _divergence(counts: numpy.ndarray, first: int, last: int) -> float:
    """Kullback-Leibler divergence of 256 levels between two bins from the values, which are clipped there."""
    kept = counts[first:last]
    wanted = kept.copy()
    wanted[0] += counts[:first].sum()
    wanted[-1] += counts[last:].sum()
    starts = numpy.linspace(0, len(kept), NUM_LEVELS, endpoint=False).astype(int)
    widths = numpy.diff([*starts, len(kept)])
    used = numpy.add.reduceat((wanted > 0).astype(float), starts)
    level = numpy.add.reduceat(kept, starts) / numpy.maximum(used, 1)
    got = numpy.where(wanted > 0, numpy.repeat(level, widths), 0.0)
    is_used = wanted > 0
    wanted, got = wanted[is_used] / wanted.sum(), numpy.maximum(got[is_used], 1e-9) / max(got.sum(), 1e-9)
    return float((wanted * numpy.log(wanted / got)).sum())
