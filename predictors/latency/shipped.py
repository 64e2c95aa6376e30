"""Latency models of the devices of HW-NAS-Bench (Li et al., 2021, arXiv 2103.10584) that come with nasengine.

Each was fitted to some hundred networks of NAS-Bench-201, see the card beside it; networks of other spaces are
extrapolated, with larger deviations.
"""

from importlib.resources import as_file, files

from predictors.latency.latency_predictor import LatencyPredictor


def raspi4() -> LatencyPredictor:
    """Raspberry Pi 4."""
    return _load("raspi4")


def edgegpu() -> LatencyPredictor:
    """Jetson TX2."""
    return _load("edgegpu")


def edgetpu() -> LatencyPredictor:
    """Edge TPU; networks that its compiler refuses are predicted as ``inf``."""
    return _load("edgetpu")


def _load(name: str) -> LatencyPredictor:
    with as_file(files("predictors") / "weights" / f"latency_{name}.safetensors") as path:
        return LatencyPredictor.load(path)
