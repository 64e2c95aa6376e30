"""How well latencies are predicted: by rank, and within how many percent."""

from dataclasses import asdict, dataclass

import numpy
import scipy.stats

from nasengine.protocols import Prediction

NORMAL_QUANTILE = 1.6449


@dataclass(frozen=True)
class LatencyErrors:
    """Figures over networks that run.

    Args:
        spearman_rho: rank correlation of predictions and measurements.
        within_10_percent: share of networks whose prediction is at most 10 % off the measurement.
        median_relative_error: half of the networks are predicted at least as well.
        coverage_90: share of measurements inside the 90 % interval that the prediction states.
        runs_right: share of all networks of which it is right whether they run on the device.
        num_networks: that run.
    """

    spearman_rho: float
    within_10_percent: float
    median_relative_error: float
    coverage_90: float
    runs_right: float
    num_networks: int

    @classmethod
    def of(cls, prediction: Prediction, milliseconds: numpy.ndarray) -> "LatencyErrors":
        """Compare predictions with measurements, (num_networks,) each; ``nan`` did not run."""
        runs, said = ~numpy.isnan(milliseconds), numpy.isfinite(prediction.mean)
        both = runs & said
        mean, std, measured = prediction.mean[both], prediction.std[both], milliseconds[both]
        relative = numpy.abs(mean / measured - 1)
        return cls(
            float(scipy.stats.spearmanr(mean, measured).statistic), float((relative <= 0.1).mean()),
            float(numpy.median(relative)), float((numpy.abs(mean - measured) <= NORMAL_QUANTILE * std).mean()),
            float((runs == said).mean()), int(runs.sum()),
        )  # fmt: skip

    def rounded(self) -> dict[str, float]:
        """As plain values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}
