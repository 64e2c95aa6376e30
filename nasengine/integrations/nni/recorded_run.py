"""A run folder as the page needs it, read again whenever the journal has grown; nothing in the folder is changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nasengine.errors import ConfigError, StoreError
from nasengine.integrations.nni.genes import declared_choices
from nasengine.integrations.nni.journal_lines import DataLine, Line, read
from nasengine.integrations.nni.trial_costs import TrialCosts
from nasengine.integrations.nni.trials import Trial, trials_of
from nasengine.pipeline.settings import SearchSettings
from nasengine.protocols import ElasticSpace, NetworkConfig, SupernetSpace
from nasengine.store.journal import Event, Journal
from nasengine.store.run_store import JOURNAL_NAME, SUMMARY_NAME, in_force, read_summary


@dataclass(frozen=True)
class Recording:
    """A run as far as it has come.

    Args:
        name: of the run.
        settings: what it was started with.
        choices: the search space as NNI states it.
        trials: in the order in which they began.
        began, ended: seconds since 1970; ``ended`` is None while the run can go on.
    """

    name: str
    settings: Mapping[str, Any]
    choices: Mapping[str, Any]
    trials: list[Trial]
    began: float
    ended: float | None


class RecordedRun:
    """Reads a run that another process may be writing.

    Args:
        folder: of the run.
        space: that it searches.
        settings: what it was started with.
    """

    def __init__(self, folder: Path, space: SupernetSpace | ElasticSpace, settings: SearchSettings) -> None:
        if settings.budget not in space.scales:
            raise ConfigError(f"run folder {folder}, settings, budget: expected one of {', '.join(space.scales)}")
        self.folder, self.space, self.settings = folder, space, settings
        self._journal = Journal(folder / JOURNAL_NAME)
        self._costs = TrialCosts(space, None)
        self._seen: tuple[int, bool] | None = None

    def read(self) -> Recording | None:
        """The run so far; None where nothing has happened since the last time.

        Raises:
            StoreError: a journal or summary that no search wrote.
        """
        has_summary = (self.folder / SUMMARY_NAME).is_file()  # looked at first: it is written last
        seen = self._size(), has_summary
        if seen == self._seen:
            return None
        self._seen = seen
        events = in_force(self._journal.read())
        self._learn_costs(events)
        trials = trials_of(events, self.space, self._costs, str(self._journal.path))
        return Recording(
            name=self.folder.resolve().name,
            settings=self.settings.model_dump(mode="json"),
            choices=declared_choices(self.space, [trial.parameters for trial in trials]),
            trials=trials,
            began=self._time(events[0], 1),
            ended=self._time(events[-1], len(events)) if has_summary else None,
        )

    def _size(self) -> int:
        try:
            return self._journal.path.stat().st_size
        except OSError as fault:
            raise StoreError(f"journal {self._journal.path}: could not be read ({fault.strerror})") from fault

    def _time(self, event: Event, number: int) -> float:
        return read(Line, event, f"{self._journal.path}, line {number}").time

    def _learn_costs(self, events: list[Event]) -> None:
        """Costs are those of the final networks, whose size depends on the images."""
        line = next((event for event in events if event["event"] == "data"), None)
        if self._costs.config is None and line is not None:
            data = read(DataLine, line, str(self._journal.path))
            scale = self.space.scales[self.settings.budget]
            size = NetworkConfig(data.num_classes, data.image_shape, scale.final_channels, scale.final_cells)
            self._costs = TrialCosts(self.space, size)
        summary = read_summary(self.folder / SUMMARY_NAME)
        if summary is not None:
            self._costs.learn(summary)
