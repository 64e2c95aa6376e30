"""GENNAPE's transform of accuracies, which takes out of them what the size of a network explains.

Mills et al., 2023, arXiv 2211.17226, equation 5: ``y = Z(A / (log10(F + 1) + 1))`` with ``F`` in GFLOPs (here: billions
of multiply-accumulates) and ``Z`` the standardisation of the training networks. Its inverse multiplies what was learned
by the size again, which any network has, known or not.
"""

from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class FlopsTransform:
    """From accuracies to what heads learn, and back.

    Args:
        mean, std: of the training networks' values before standardisation.
        enabled: without it only the standardisation is left.
    """

    mean: float
    std: float
    enabled: bool = True

    @classmethod
    def fit(cls, accuracies: numpy.ndarray, macs: numpy.ndarray, *, enabled: bool = True) -> "FlopsTransform":
        """Measure mean and deviation on training networks."""
        values = accuracies / (_size(macs) if enabled else 1.0)
        return cls(float(values.mean()), float(values.std()) or 1.0, enabled)

    def apply(self, accuracies: numpy.ndarray, macs: numpy.ndarray) -> numpy.ndarray:
        """What is to be learned."""
        return (accuracies / (_size(macs) if self.enabled else 1.0) - self.mean) / self.std

    def invert(self, values: numpy.ndarray, macs: numpy.ndarray) -> numpy.ndarray:
        """Accuracies of what was predicted."""
        return (values * self.std + self.mean) * (_size(macs) if self.enabled else 1.0)


def _size(macs: numpy.ndarray) -> numpy.ndarray:
    return numpy.log10(macs / 1e9 + 1) + 1
