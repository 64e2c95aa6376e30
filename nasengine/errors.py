"""Every error that nasengine raises on purpose.

One root, so that ``cli.py`` can turn any of them into one line and exit code 2; every leaf also inherits the
built-in exception that a caller of a plain Python library would expect. A message says where the fault is,
what was expected, what was got and what to do.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class NasEngineError(Exception):
    """Root of all errors that a user can cause and mend."""


class ConfigError(NasEngineError, ValueError):
    """Settings that cannot work; all faults are listed at once.

    >>> str(ConfigError(["epochs: expected at least 1, got 0", "seed: expected an integer, got 'a'"]))
    "epochs: expected at least 1, got 0; seed: expected an integer, got 'a'"
    """

    def __init__(self, faults: str | Sequence[str]) -> None:
        self.faults = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("; ".join(self.faults))


class UnknownNameError(NasEngineError, LookupError):
    """A space, predictor, strategy, exporter or option that does not exist.

    >>> str(UnknownNameError("search space", "dart", ["darts", "nasbench201"]))
    "search space 'dart' is unknown; known: darts, nasbench201; did you mean 'darts'?"
    """

    def __init__(self, what: str, got: str, known: Iterable[str]) -> None:
        names = sorted(known)
        close = get_close_matches(got, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        super().__init__(f"{what} {got!r} is unknown; known: {', '.join(names) or 'none'}{hint}")


class GenotypeError(NasEngineError, ValueError):
    """A genotype that is not a member of its search space."""


class GraphError(NasEngineError, ValueError):
    """A computation graph that is malformed or that no network can be built from."""


class TracingError(NasEngineError, ValueError):
    """A module or ONNX file that cannot be turned into a computation graph."""


class DataError(NasEngineError, ValueError):
    """Images or labels that are missing, corrupt or inconsistent."""


class DeviceError(NasEngineError, RuntimeError):
    """A device that was asked for and is not there."""


class WorkerError(NasEngineError, RuntimeError):
    """Workers that fail, die again and again, or cannot be reached."""


class DependencyError(NasEngineError, ImportError):
    """An optional package that a feature needs and that is not installed."""


class StoreError(NasEngineError, OSError):
    """A run folder that cannot be read, written or locked."""


class TrainingError(NasEngineError, ArithmeticError):
    """Training that left the finite numbers."""


class ExportError(NasEngineError, RuntimeError):
    """An export that failed or that does not agree with the trained network."""


class ViewError(NasEngineError, RuntimeError):
    """A page that could not be shown."""
