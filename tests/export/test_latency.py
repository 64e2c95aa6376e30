"""Measured latency: more work takes longer, every file runs equally often, and nothing else is counted."""

import collections
import time

import numpy
import pytest

from export.latency import interleaved, measure, this_machine
from export.operator_files import write_network
from export.process_memory import empty_process_bytes, peak_memory_bytes
from nasengine.errors import ConfigError, ExportError
from nasengine.graph import GraphBuilder, cost

SHAPE = (16, 24, 24)


def write_convolutions(path, count):
    """A chain of equal convolutions; their macs."""
    builder = GraphBuilder()
    last = builder.input(SHAPE)
    for index in range(count):
        last = builder.add("conv", last, name=f"conv{index}", channels=16, kernel=3, padding=1)
    write_network(builder.build(last), path)
    return cost(builder.build(last)).macs


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("latency")
    small, large = folder / "small.onnx", folder / "large.onnx"
    assert write_convolutions(large, 50) == 50 * write_convolutions(small, 1)
    return small, large


def test_more_work_takes_longer(files):
    small, large = measure(files, shape=SHAPE, runs=15, warm_up=3, with_memory=False)
    assert large.p50_ms > 5 * small.p50_ms
    for report in (small, large):
        assert 0 < report.smallest_ms <= report.p50_ms <= report.p90_ms <= report.p95_ms
        assert (report.runs, report.warm_up, report.threads) == (15, 3, 1)
        assert report.machine == this_machine()
        assert report.machine.cpu
        assert report.peak_memory_bytes is None
    assert large.p50_processor_ms > 5 * small.p50_processor_ms > 0
    assert [small.path, large.path] == list(files)


def test_several_threads_and_no_files_work_too(files):
    (report,) = measure(files[:1], shape=SHAPE, threads=2, runs=3, warm_up=0, with_memory=False)
    assert report.threads == 2
    assert report.p50_processor_ms is None
    assert measure([], shape=SHAPE) == []


def test_every_job_runs_once_a_round_in_changing_order():
    calls = []
    jobs = [lambda name=name: calls.append(name) for name in "abcd"]
    times = interleaved(jobs, runs=20, warm_up=5, seed=0)
    for durations in (times.wall_ms, times.processor_ms):
        assert durations.shape == (4, 20)
        assert (durations >= 0).all()
    rounds = [tuple(calls[start : start + 4]) for start in range(0, len(calls), 4)]
    assert len(rounds) == 25
    assert all(sorted(names) == list("abcd") for names in rounds)
    assert len(set(rounds)) > 10
    first = list(calls)
    calls.clear()
    interleaved(jobs, runs=20, warm_up=5, seed=0)
    assert calls == first


def test_waiting_is_on_the_wall_and_not_of_the_processor():
    times = interleaved([lambda: time.sleep(0.02)], runs=3, warm_up=0, seed=0)
    assert times.wall_ms.min() >= 20
    assert numpy.median(times.processor_ms) < 10


def test_untimed_calls_come_right_before_the_timed_one():
    calls = []
    jobs = [lambda name=name: calls.append(name) for name in "ab"]
    interleaved(jobs, runs=3, warm_up=1, seed=0, untimed=2)
    assert collections.Counter(calls) == {"a": 12, "b": 12}
    assert all(len(set(calls[start : start + 3])) == 1 for start in range(0, len(calls), 3))


def test_memory_is_that_of_the_file_alone(tmp_path):
    """Two tensors of 8 MB are alive at once; this process is far larger and must not be counted."""
    builder = GraphBuilder()
    image = builder.input((2, 1024, 1024))
    write_network(builder.build(builder.add("relu", image, name="relu")), tmp_path / "large.onnx")
    held = numpy.ones(50_000_000)
    empty = empty_process_bytes()
    peak = peak_memory_bytes(tmp_path / "large.onnx", (2, 1024, 1024), 1, empty)
    assert 2 * 8e6 < peak < 80e6
    assert empty < 200e6 < held.nbytes


def test_what_cannot_be_measured_is_said_in_a_sentence(files, tmp_path):
    with pytest.raises(ExportError, match=r"expected a batch of one image as \['batch', 16, 24, 24\], got"):
        measure(files, shape=(3, 24, 24), runs=1)
    with pytest.raises(ConfigError, match="expected at least 1 run and 1 thread"):
        measure(files, shape=SHAPE, runs=0)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(ExportError, match="expected one that onnxruntime can load"):
        measure([tmp_path / "broken.onnx"], shape=SHAPE)
    with pytest.raises(ExportError, match="peak memory of .*expected a run of the file"):
        peak_memory_bytes(tmp_path / "broken.onnx", SHAPE, 1, 0)
    builder = GraphBuilder()
    both = builder.add("add", builder.input(SHAPE, "left"), builder.input(SHAPE, "right"), name="sum")
    write_network(builder.build(both), tmp_path / "two.onnx")
    with pytest.raises(ExportError, match="expected one input of floating point numbers, got tensor"):
        measure([tmp_path / "two.onnx"], shape=SHAPE)
