"""Supernets: one network that holds every candidate operation of a space, and its training."""

from nasengine.supernet.architecture_weights import ArchitectureWeights
from nasengine.supernet.choice import Choice, Mixture
from nasengine.supernet.supernet import Supernet

__all__ = ["ArchitectureWeights", "Choice", "Mixture", "Supernet"]
