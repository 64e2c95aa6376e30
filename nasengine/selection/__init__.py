"""Picking an architecture from a trained supernet."""

from nasengine.selection.comparison import Stopping
from nasengine.selection.magnitude import MagnitudeSelection
from nasengine.selection.perturbation import PerturbationSelection
from nasengine.selection.sampled_paths import SampledPathSelection

__all__ = ["MagnitudeSelection", "PerturbationSelection", "SampledPathSelection", "Stopping"]
