"""What a worker does with a request."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nasengine.distribution.messages import BEGIN, DONE, FAILED, FAMILY, RUN, ReportingStore, message, read_request
from nasengine.errors import NasEngineError
from nasengine.pipeline import SearchSettings

if TYPE_CHECKING:
    from nasengine.data import ImageDataset

Report = Callable[[bytes], None]


def perform(request: bytes, report: Report, dataset: "ImageDataset | None" = None) -> None:
    """Do a part and report every event; the last report says that it is done, or why it failed.

    Args:
        request: see ``messages.request``.
        report: is given each message.
        dataset: images, where they are not to be read from what the settings name.
    """
    with tempfile.TemporaryDirectory(prefix="nasengine-worker-") as folder:
        try:
            _perform(request, Path(folder), report, dataset)
        except NasEngineError as fault:
            report(message({"kind": FAILED, "reason": str(fault)}))
        else:
            report(message({"kind": DONE}))


def _perform(request: bytes, folder: Path, report: Report, dataset: "ImageDataset | None") -> None:
    from nasengine.assembly import assemble
    from nasengine.pipeline.family import Family
    from nasengine.pipeline.family_settings import FamilySettings

    values, part = read_request(request, folder)
    settings = SearchSettings.read(values["settings"], "worker, settings")
    torch.set_num_threads(settings.threads)
    progress = _Beginnings(report)
    search = assemble(settings, progress, dataset=dataset)
    if values["family"] is None:
        _within(folder / RUN, report, lambda store: search.do(part, store))
        return
    run = ReportingStore.open(folder / RUN)
    try:
        ancestor = search.ancestor(run)
    finally:
        run.close()
    family = Family(FamilySettings.read(values["family"], "worker, family"), ancestor, None, progress)
    _within(folder / FAMILY, report, lambda store: family.do(part, store))


def _within(folder: Path, report: Report, do: Callable[[ReportingStore], None]) -> None:
    store = ReportingStore.open(folder)
    assert isinstance(store, ReportingStore)
    store.report = report
    try:
        do(store)
    finally:
        store.close()


class _Beginnings:
    """Progress of which only beginnings are reported: events tell the rest."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def begin(self, task: str, num_steps: int, done: int) -> None:
        """Report it."""
        self._report(message({"kind": BEGIN, "task": task, "num_steps": num_steps, "done": done}))

    def advance(self, task: str, step: int, metrics: Mapping[str, Any]) -> None:
        """The event was reported already."""
