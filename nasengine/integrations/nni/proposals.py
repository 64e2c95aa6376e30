"""A strategy whose every step is in the run's journal, so that it can be ended at any moment and goes on from there.

NNI numbers parameters from 0 again when it resumes an experiment, and never asks a tuner to save itself. Here the
journal is the tuner's memory: a strategy that goes on is asked and told again what the journal says, in its order.
Numbers of trials are those of the journal, for good.
"""

from dataclasses import dataclass
from pathlib import Path

from nasengine.architecture import Architecture
from nasengine.errors import GenotypeError, StoreError
from nasengine.integrations.nni.trial_file import TrialFile
from nasengine.pipeline.trial_results import LOGS, PROPOSAL, TRIAL, TrialResult, results_in
from nasengine.protocols import Evaluation, SearchSpace, Strategy
from nasengine.store import RunStore

KEPT_CHARACTERS = 500
STOPPED_EARLY = "stopped early"
NAMES = {"params": "num_parameters"}
"""What NNI's users read, as strategies know it."""


@dataclass(frozen=True)
class Proposal:
    """An architecture to be tried, and its number."""

    number: int
    architecture: Architecture


class Proposals:
    """Asks a strategy for architectures and tells it how their trials ended.

    Args:
        store: of the run.
        space: that is searched.
        strategy: new, or as new.
        count: trials in all.

    Raises:
        StoreError: a journal that no run writes.
    """

    def __init__(self, store: RunStore, space: SearchSpace, strategy: Strategy, count: int) -> None:
        self.store, self.space, self.strategy, self.count = store, space, strategy, count
        self.where = f"run folder {store.folder}"
        self.results = {result.number: result for result in results_in(store.events, self.where)}
        self.architectures: dict[int, Architecture] = {}
        self._replay()
        self._waiting = [number for number in self.architectures if number not in self.results]
        data = store.last("data")
        self._fingerprint = data["fingerprint"] if data is not None else ""

    def next(self) -> Proposal | None:
        """What to try next: what was proposed before and has not ended, then something new; None when all is tried."""
        if self._waiting:
            number = self._waiting.pop(0)
            return Proposal(number, self.architectures[number])
        number = len(self.architectures)
        if number == self.count:
            return None
        (architecture,) = self.strategy.ask(1)
        self.store.record(PROPOSAL, number=number, genotype=self.space.format(architecture))
        self.architectures[number] = architecture
        return Proposal(number, architecture)

    def finish(self, number: int, status: str) -> TrialResult:
        """A trial has ended: record it with what it measured, and tell the strategy.

        Args:
            number: of the trial.
            status: as NNI calls it; a success without a result is a failure.
        """
        if number in self.results:
            return self.results[number]
        genotype, log = self.space.format(self.architectures[number]), f"{LOGS}/trial-{number}.log"
        settings = self.store.settings
        measured = TrialFile(self.store.folder, settings, self._fingerprint, genotype).read()
        final = dict(measured.final) if measured is not None and measured.final is not None else None
        epochs = measured.epochs if measured is not None else []
        if status == "SUCCEEDED" and final is not None:
            content = {"status": status, "accuracy": final.pop("default"), "metrics": final}
        elif status == "EARLY_STOPPED":
            content = {"status": status, "reason": STOPPED_EARLY}
        else:
            failure = measured.failure if measured is not None else None
            content = {"status": "FAILED", "reason": failure or _last_words(self.store.folder / log)}
        seconds = measured.seconds if measured is not None else 0.0
        self.store.record(TRIAL, number=number, genotype=genotype, **content, epochs=epochs, seconds=seconds, log=log)
        result = results_in(self.store.events[-1:], self.where)[0]
        self.results[number] = result
        self._tell(result)
        return result

    def _replay(self) -> None:
        """Ask and tell as before, in the order of the journal; its answers count, not those that are given now."""
        for event in self.store.events:
            if event["event"] == PROPOSAL:
                number, text = event.get("number"), event.get("genotype")
                if number != len(self.architectures) or not isinstance(text, str):
                    raise StoreError(f"{self.where}: expected proposal {len(self.architectures)}, got {number!r}")
                self.strategy.ask(1)
                self.architectures[len(self.architectures)] = self._parsed(text)
            elif event["event"] == TRIAL:
                result = results_in([event], self.where)[0]
                if result.number not in self.architectures:
                    raise StoreError(f"{self.where}: expected a trial that was proposed, got {result.number}")
                self._tell(result)

    def _parsed(self, text: str) -> Architecture:
        try:
            return self.space.parse(text)
        except GenotypeError as fault:
            raise StoreError(f"{self.where}: expected genotypes of {self.space.name}, got another: {fault}") from fault

    def _tell(self, result: TrialResult) -> None:
        architecture = self.architectures[result.number]
        if result.accuracy is None:
            evaluation = Evaluation(architecture, {}, result.reason or "no result")
        else:
            costs = {NAMES.get(name, name): value for name, value in result.metrics.items()}
            evaluation = Evaluation(architecture, {"accuracy": result.accuracy, **costs})
        self.strategy.tell([evaluation])


def _last_words(log: Path) -> str:
    """The end of what a trial wrote."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 4 * KEPT_CHARACTERS))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        lines = []
    last = [line.strip() for line in lines if line.strip()][-1:]
    return last[0][:KEPT_CHARACTERS] if last else "it ended without a result and without a word"
