"""Everything that a search depends on; it is the first line of the run's journal."""

from dataclasses import replace
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasengine.errors import ConfigError
from nasengine.pipeline.trial_settings import TrialSettings
from nasengine.protocols import Precision, SearchScale

Settings = TypeVar("Settings", bound=BaseModel)
MAX_SPLITS = 6  # 64 leaves of two ways
PATHWISE = ("single-path", "sandwich", "shrinking")
"""Ways of training a supernet after which its paths, or subnets, are compared with one another."""


class SearchSettings(BaseModel):
    """Settings of ``nasengine search``.

    Args:
        space: name of the search space.
        data: what ``--data`` named.
        budget: ``quick``, ``standard`` or ``full``; each space says what they mean.
        seed: all randomness of the run comes from it.
        training: how the supernet is trained; ``sandwich`` and ``shrinking`` are for elastic ones.
        selection: how an architecture is picked from it.
        strategy: proposes paths for ``sampled-paths``.
        predictor: ranks architectures before any training; None does without.
        pool: architectures that it ranks.
        predicted_finalists: how many of them compete with what the supernets propose.
        splits: levels at which the supernet is split; 0 trains one supernet, None takes the budget's number.
        ways: parts at each split.
        split_by: gradient matching, or one of the baselines.
        restart_leaves: leaves begin with new weights rather than inherited ones.
        preset: a published schedule of splits instead of the budget's.
        fine_tune: networks from an elastic supernet begin with its weights; otherwise they are trained from scratch.
        device: where it runs.
        threads: of torch on the CPU; a resumed run uses the same number, since the order of additions depends on it.
        processes: that share every batch; a resumed run has as many, since batch norms depend on their shares.
        learning_rate: overrides the budget's.
        precision: of the layers while training; ``bfloat16`` is for GPUs and gives other results.
        compiled: networks are compiled with ``torch.compile`` before they are trained.
        depths, sizes: numbers of cells, or names, of the family that the search ends with; none by default.
        target: name or file of the device that the winner is for; None for no device.
        max_latency_ms, max_bytes, max_peak_bytes, max_macs, max_parameters: limits beside the device's own.
        also_macs: further limits on macs, each with an answer of its own from the same elastic supernet.
        trials: of ``nasengine nni``, from which the winner comes instead of a supernet; None for a supernet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    space: str
    data: str
    budget: Literal["quick", "standard", "full"] = "standard"
    seed: int = Field(default=0, ge=0, lt=2**63)
    training: Literal[
        "darts", "darts-second-order", "fixed", "snas", "beta-darts", "drnas", "proxyless", "single-path", "sandwich",
        "shrinking", "none",
    ] = "fixed"  # fmt: skip
    selection: Literal["perturbation", "magnitude", "sampled-paths", "trials"] = "perturbation"
    strategy: str = "random"
    predictor: str | None = None
    pool: int = Field(default=400, ge=10, le=1_000_000)
    predicted_finalists: int = Field(default=4, ge=1, le=64)
    splits: int | None = Field(default=None, ge=0, le=MAX_SPLITS)
    ways: int = Field(default=2, ge=2)
    split_by: Literal["gradient-matching", "random", "exhaustive"] = "gradient-matching"
    restart_leaves: bool = True
    preset: Literal["nasbench201", "nasbench201-single-path", "darts"] | None = None
    fine_tune: bool = True
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    processes: int = Field(default=1, ge=1)
    learning_rate: float | None = None
    precision: Precision = "float32"
    compiled: bool = False
    depths: tuple[int, ...] = ()
    sizes: tuple[Literal["small", "medium", "large"], ...] = ()
    target: str | None = None
    max_latency_ms: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    max_bytes: int | None = Field(default=None, gt=0)
    max_peak_bytes: int | None = Field(default=None, gt=0)
    max_macs: int | None = Field(default=None, gt=0)
    max_parameters: int | None = Field(default=None, gt=0)
    also_macs: tuple[int, ...] = ()
    trials: TrialSettings | None = None

    @property
    def own_limits(self) -> dict[str, int | float | None]:
        """Limits beside the device's own, by the metric that they limit."""
        return {
            "latency_ms": self.max_latency_ms, "model_bytes": self.max_bytes, "peak_bytes": self.max_peak_bytes,
            "macs": self.max_macs, "num_parameters": self.max_parameters,
        }  # fmt: skip

    @classmethod
    def read(cls, content: dict[str, Any], where: str) -> "SearchSettings":
        """Check values that come from the command line or from a journal.

        Raises:
            ConfigError: lists everything that is wrong.
        """
        settings = validated(cls, content, where)
        settings._check_combination()
        return settings

    def _check_combination(self) -> None:
        faults = []
        if (self.training in PATHWISE) != (self.selection == "sampled-paths"):
            faults.append(
                f"--training {self.training} with --selection {self.selection}: expected sampled-paths after "
                f"{', '.join(PATHWISE[:-1])} or {PATHWISE[-1]} training, and perturbation or magnitude after the others"
            )
        if not (self.training == "none") == (self.selection == "trials") == (self.trials is not None):
            faults.append("--training none with --selection trials: expected them of 'nasengine nni' alone; use it")
        if self.preset is not None and self.splits is not None:
            faults.append("--preset: expected no --splits beside it, since it has its own; leave one of them out")
        if self.preset is not None and self.preset.endswith("single-path") != (self.training == "single-path"):
            faults.append(f"--preset {self.preset}: expected a preset made for --training {self.training}")
        if self.selection == "magnitude" and self.training == "fixed":
            faults.append("--selection magnitude: expected trained architecture weights, got --training fixed")
        if self.depths and self.sizes:
            faults.append("--depths: expected no --sizes beside them; leave one of them out")
        if self.learning_rate is not None and not 0 < self.learning_rate < 10:
            faults.append(f"--learning-rate: expected a number between 0 and 10, got {self.learning_rate}")
        if faults:
            raise ConfigError(faults)

    def adjust(self, scale: SearchScale) -> SearchScale:
        """The scale of the budget, with what this run has of its own."""
        own: dict[str, Any] = {"precision": self.precision, "compiled": self.compiled}
        if self.learning_rate is not None:
            own["learning_rate"] = self.learning_rate
        return replace(scale, supernet=replace(scale.supernet, **own), final=replace(scale.final, **own))


def validated(model: type[Settings], content: dict[str, Any], where: str) -> Settings:
    """Settings of some kind, from values that come from outside.

    Raises:
        ConfigError: lists everything that is wrong, each behind ``where``.
    """
    try:
        return model(**content)
    except (ValidationError, TypeError) as fault:
        problems = fault.errors() if isinstance(fault, ValidationError) else []
        faults = [
            f"{where}, {'.'.join(map(str, entry['loc']))}: {entry['msg'][0].lower() + entry['msg'][1:]}, "
            f"got {entry['input']!r}"
            for entry in problems
        ]
        raise ConfigError(faults or [f"{where}: {fault}"]) from fault
