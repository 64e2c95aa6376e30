"""Picking an architecture from a trained supernet."""

from nasengine.selection.comparison import Stopping
from nasengine.selection.magnitude import MagnitudeSelection
from nasengine.selection.perturbation import PerturbationSelection
from nasengine.selection.sampled_paths import MakeStrategy, SampledPathSelection

__all__ = ["MagnitudeSelection", "MakeStrategy", "PerturbationSelection", "SampledPathSelection", "Stopping"]
