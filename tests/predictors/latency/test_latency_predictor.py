"""Predicted latency: recovers times that add up, knows what it does not know, and comes back from its file."""

import random

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nasengine.errors import ConfigError, NasEngineError
from nasengine.protocols import LatencyModel, NetworkConfig, TaskState
from predictors.gennape.storage import save_state
from predictors.latency.latency_predictor import LatencyPredictor, features_of
from predictors.latency.process import Process
from predictors.latency.shipped import edgegpu, edgetpu, raspi4
from predictors.latency.trend import Trend
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

CONFIG = NetworkConfig(10, (3, 16, 16), 8, 2)


def graphs_of(space, count, seed=0, config=CONFIG):
    rng = random.Random(seed)
    return [space.to_graph(space.sample(rng), config) for _ in range(count)]


@pytest.fixture(scope="module")
def measured():
    """Networks, and times of a device whose operations add up, with 2 % noise."""
    graphs = graphs_of(NASBENCH201, 90)
    work = features_of(graphs)[0]
    prices = numpy.random.default_rng(0).uniform(0.1, 1, work.shape[1]) / work.max(axis=0).clip(min=1)
    noise = numpy.random.default_rng(1).normal(1, 0.02, len(graphs))
    return graphs, (0.5 + work @ prices) * noise


@pytest.fixture(scope="module")
def fitted(measured):
    graphs, values = measured
    predictor = LatencyPredictor({"device": "invented"})
    predictor.fit(graphs[:60], values[:60].tolist())
    return predictor


def test_times_that_add_up_are_found(fitted, measured):
    graphs, values = measured
    found = fitted.predict(graphs[60:])
    assert numpy.median(numpy.abs(found.mean / values[60:] - 1)) < 0.03
    assert (numpy.abs(found.mean - values[60:]) <= 1.645 * found.std).mean() >= 0.7


def test_strange_networks_get_large_deviations(fitted, measured):
    own, strange = fitted.predict(measured[0][60:]), fitted.predict(graphs_of(DARTS, 5))
    assert (strange.std / strange.mean).min() > 2 * numpy.median(own.std / own.mean)
    assert (strange.mean > 0).all()


def test_networks_that_do_not_run_are_learned(measured):
    graphs, values = measured
    pools = numpy.array([any(node.kind == "avg_pool" and node.kernel == (3, 3) for node in graph.operations)
                         for graph in graphs])  # fmt: skip
    predictor = LatencyPredictor()
    predictor.fit(graphs[:60], numpy.where(pools, values, numpy.nan)[:60].tolist())
    assert (numpy.isinf(predictor.predict(graphs[60:]).mean) == ~pools[60:]).mean() > 0.85


def test_the_file_gives_the_same_predictions(fitted, measured, tmp_path):
    fitted.save(tmp_path / "a.safetensors")
    again = LatencyPredictor.load(tmp_path / "a.safetensors")
    first, second = fitted.predict(measured[0]), again.predict(measured[0])
    numpy.testing.assert_allclose(first.mean, second.mean, rtol=1e-4)
    numpy.testing.assert_allclose(first.std, second.std, rtol=1e-2)
    assert again.about == {"device": "invented"}
    assert isinstance(again, LatencyModel)


@pytest.mark.parametrize("labels", [[1.0] * 10, [0.0] * 30, [float("inf")] * 30, [float("nan")] * 30, [1.0] * 29])
def test_labels_that_cannot_be(measured, labels):
    with pytest.raises(ConfigError, match="expected at least 20"):
        LatencyPredictor().fit(measured[0][: 10 if len(labels) == 10 else 30], labels)


def test_a_file_of_another_kind(fitted, tmp_path):
    save_state(tmp_path / "b.safetensors", TaskState({"costs": torch.zeros(3)}, {"kind": "latency predictor"}))
    for name in ("b.safetensors", "missing.safetensors"):
        with pytest.raises(ConfigError, match="expected"):
            LatencyPredictor.load(tmp_path / name)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 3000), value=st.integers(0, 255))
def test_damaged_files_are_refused_or_harmless(fitted, tmp_path_factory, place, value):
    path = tmp_path_factory.mktemp("damaged") / "c.safetensors"
    fitted.save(path)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = value
    path.write_bytes(bytes(content))
    try:
        LatencyPredictor.load(path)
    except NasEngineError as fault:
        assert "expected" in str(fault)  # noqa: PT017 (most changes are refused, some are harmless)


def test_prices_are_never_negative(measured):
    graphs, values = measured
    work = features_of(graphs)[0]
    trend = Trend.fit(work, values)
    assert (trend.costs >= 0).all()
    assert numpy.median(numpy.abs(trend.predict(work) / values - 1)) < 0.05


def test_the_process_is_the_closed_form():
    """Mean and deviation against the textbook's formulas with the kernel's own covariance."""
    rng = numpy.random.default_rng(0)
    columns, targets = rng.normal(size=(25, 4)), rng.normal(size=25)
    process = Process.fit(columns, targets, numpy.ones(25))
    every = numpy.vstack([columns, rng.normal(size=(3, 4))])
    from predictors.latency.process import _kernel

    points = process.scaling.apply(every)
    covariance = _kernel(torch.from_numpy(process.theta), points, points).numpy()
    noisy = covariance[:25, :25] + (numpy.exp(process.theta[3]) + 1e-5) * numpy.eye(25)
    mean = covariance[25:, :25] @ numpy.linalg.solve(noisy, targets)
    variance = numpy.diag(covariance[25:, 25:] - covariance[25:, :25] @ numpy.linalg.solve(noisy, covariance[:25, 25:]))
    found, deviation = process.predict(every[25:])
    numpy.testing.assert_allclose(found, mean, atol=1e-6)
    numpy.testing.assert_allclose(deviation, process.unit * numpy.sqrt(variance), atol=1e-5)


def test_left_out_errors_are_those_of_fits_without_the_label():
    rng = numpy.random.default_rng(1)
    columns, targets = rng.normal(size=(30, 3)), 3 * rng.normal(size=30)
    process = Process.fit(columns, targets, numpy.ones(30))
    noisy = process.root @ process.root.T
    errors = []
    for one in range(30):
        rest = [other for other in range(30) if other != one]
        weights = numpy.linalg.solve(noisy[numpy.ix_(rest, rest)], noisy[rest, one])
        variance = noisy[one, one] - noisy[one, rest] @ weights
        errors.append(abs(process.values[one] - weights @ process.values[rest]) / numpy.sqrt(variance))
    assert process.spread() == pytest.approx(max(1.0, numpy.quantile(errors, 0.9) / 1.6449), rel=1e-6)


@pytest.mark.parametrize("model", [raspi4, edgegpu, edgetpu])
def test_shipped_models_say_what_they_saw(model):
    found = model()
    assert found.about["space"] == "nasbench201"
    assert found.about["labels"] == 600
    assert (found.predict(graphs_of(NASBENCH201, 3, config=NASBENCH201.defaults)).mean > 0).all()


@pytest.mark.benchmark_data
@pytest.mark.parametrize(("device", "rho", "share"), [("raspi4", 0.95, 0.55), ("edgegpu", 0.95, 0.8)])
def test_a_hundred_measurements_are_enough(benchmark_table, device, rho, share):
    rows = benchmark_table("nasbench201_hardware")[::25]
    graphs = [NASBENCH201.to_graph(NASBENCH201.parse(row["arch"]), NASBENCH201.defaults) for row in rows]
    values = numpy.array([float(row[f"{device}_latency_ms"]) for row in rows])
    predictor = LatencyPredictor()
    predictor.fit(graphs[:100], values[:100].tolist())
    from predictors.latency.evaluation import LatencyErrors

    found = LatencyErrors.of(predictor.predict(graphs[100:]), values[100:])
    assert found.spearman_rho > rho
    assert found.within_10_percent > share
