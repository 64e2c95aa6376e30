"""TensorBoard event files of a run: the figures of every step, as they come."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nasengine.errors import DependencyError
from nasengine.report.progress import RunProgress

FOLDER = "tensorboard"


class EventFiles:
    """Progress that passes everything on and writes the numbers among the metrics to event files as well.

    Args:
        shown: progress for people.

    Raises:
        DependencyError: the package tensorboard is not installed.
    """

    def __init__(self, shown: RunProgress) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as fault:
            raise DependencyError(
                "--tensorboard: expected the package tensorboard; pip install 'nasengine[tensorboard]'"
            ) from fault
        self._new_writer, self._shown = SummaryWriter, shown
        self._writer: Any = None

    def write_below(self, run: Path) -> None:
        """Begin a file in the run's folder; a resumed run begins another one, which TensorBoard joins to it."""
        self._writer = self._new_writer(str(run / FOLDER))

    def start(self) -> None:
        """Pass it on."""
        self._shown.start()

    def stop(self) -> None:
        """Pass it on, and put what was written on disk."""
        self._shown.stop()
        if self._writer is not None:
            self._writer.flush()

    def begin(self, task: str, num_steps: int, done: int) -> None:
        """Pass it on."""
        self._shown.begin(task, num_steps, done)

    def advance(self, task: str, step: int, metrics: Mapping[str, Any]) -> None:
        """Pass it on, and write each number as ``TASK/NAME``."""
        self._shown.advance(task, step, metrics)
        if self._writer is None:
            return
        for name, value in metrics.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self._writer.add_scalar(f"{task}/{name}", value, step)
