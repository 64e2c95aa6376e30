"""The journal of a run as trials: every architecture that was trained or evaluated, as often as it was.

Accuracies of different stages do not compare: those of sampled paths are of shared weights, those of finalists of
brief training on validation images, those of the winner and of the random architecture of full training on test
images. Each trial says its stage.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from nasengine.errors import GenotypeError, StoreError
from nasengine.integrations.nni.genes import Gene, flat_genes
from nasengine.integrations.nni.journal_lines import (
    Epoch,
    FailedLeafLine,
    FinalistsLine,
    LimitsLine,
    PredictionLine,
    RaceLine,
    RoundLine,
    SampledPath,
    Step,
    TestLine,
    read,
)
from nasengine.integrations.nni.trial_costs import Metrics, TrialCosts
from nasengine.pipeline.trial_results import TRIAL, TrialResult, results_in
from nasengine.protocols import SearchSpace
from nasengine.store.journal import Event

MAX_TRIALS = 20_000
NETWORKS = {"winner": "winner", "random_baseline": "random"}
_SELECTION = re.compile(r"selection(?:-(leaf\d{1,4}|\d{1,15}))?")
"""Of a supernet, of a leaf, or within a further limit on macs."""
_FINALIST = re.compile(r"finalist\d{1,6}")
_WITHIN = re.compile(r"within-(\d{1,15})")


@dataclass
class Trial:
    """An evaluation of one architecture.

    Args:
        id: unique in the run, and the same whenever it is read.
        stage: where in the run it was evaluated.
        began, ended: seconds since 1970; ``ended`` is None while it goes on.
        genes: its choices by place; none while the journal does not name the architecture yet.
        genotype: as its paper prints it; empty as long.
        epochs: results on the way; ``default`` is what is drawn.
        final: accuracy (``default``) and costs; None while there is none.
        status: as NNI calls it.
        message: why it failed.
    """

    id: str
    stage: str
    began: float
    ended: float | None = None
    genes: dict[str, Gene] = field(default_factory=dict)
    genotype: str = ""
    epochs: list[dict[str, float]] = field(default_factory=list)
    final: Metrics | None = None
    status: str = "RUNNING"
    message: str = ""

    @property
    def parameters(self) -> dict[str, Gene]:
        """Columns of the page."""
        return {"stage": self.stage, **self.genes}


def trials_of(events: Sequence[Event], space: SearchSpace, costs: TrialCosts, where: str) -> list[Trial]:
    """All trials of a run so far, in the order in which they began.

    Args:
        events: the journal.
        space: that genotypes are from.
        costs: of architectures.
        where: the journal's name, for messages.

    Raises:
        StoreError: an event that no search writes, or more trials than a page can show.
    """
    reader = _Reader(space, costs, where)
    for number, event in enumerate(events, start=1):
        reader.take(event, number)
    return sorted(reader.trials.values(), key=lambda trial: trial.began)  # stable


class _Reader:
    def __init__(self, space: SearchSpace, costs: TrialCosts, where: str) -> None:
        self.space, self.costs, self.journal = space, costs, where
        self.where = where
        self.trials: dict[str, Trial] = {}
        self.accuracies: dict[int, float] = {}
        self.predicted: dict[str, tuple[float, float]] = {}

    def take(self, event: Event, number: int) -> None:
        """Look at one event."""
        self.where = f"{self.journal}, line {number}"
        kind = event["event"]
        if kind == "step":
            self._step(read(Step, event, self.where))
        elif kind == "finalists":
            self._race(read(RaceLine, event, self.where))
        elif kind == "round":
            self._end_round(read(RoundLine, event, self.where))
        elif kind == "test" and event.get("network") == "leaves":
            self._finalists(read(FinalistsLine, event, self.where))
        elif kind == "test":
            self._test(read(TestLine, event, self.where))
        elif kind == TRIAL:
            self._ended(results_in([event], self.where)[0])
        elif kind == "limits":
            self._limits(read(LimitsLine, event, self.where))
        elif kind == "prediction":
            self._prediction(read(PredictionLine, event, self.where))
        elif kind == "failed-leaf":
            line = read(FailedLeafLine, event, self.where)
            failed = self._trial(f"leaf-{line.leaf}", f"leaf {line.leaf}", line.began)
            failed.status, failed.ended, failed.message = "FAILED", line.time, line.reason

    def _step(self, line: Step) -> None:
        selection = _SELECTION.fullmatch(line.task)
        stage = _stage_of(line.task)
        if stage is not None:
            epoch = read(Epoch, line.metrics, self.where).value
            trial = self._trial(line.task, stage, line.began)
            trial.epochs += [] if epoch is None else [epoch]
        elif _FINALIST.fullmatch(line.task):
            self._finalist(line)
        elif selection is not None and "genotype" in line.metrics:
            path = read(SampledPath, line.metrics, self.where)
            part = f"{selection[1]}-" if selection[1] else ""
            trial = self._trial(f"path-{part}{line.step}", "sampled path", line.began)
            self._finish(trial, path.genotype, path.accuracy, line.time)

    def _race(self, line: RaceLine) -> None:
        """The beginning of the race, with weights from the leaves."""
        for index, text in enumerate(line.genotypes):
            self._name(self._trial(f"finalist-{index}", "finalist", line.began), text)

    def _finalist(self, line: Step) -> None:
        """An epoch or a measurement of a finalist."""
        epoch = read(Epoch, line.metrics, self.where)
        if epoch.network is not None:
            trial = self._trial(f"finalist-{epoch.network}", "finalist", line.began)
            trial.epochs += [] if epoch.value is None else [epoch.value]
            if epoch.failure is not None:
                trial.status, trial.ended, trial.message = "FAILED", line.time, epoch.failure

    def _end_round(self, line: RoundLine) -> None:
        measured = line.validation_accuracy
        for index in measured:
            self._trial(f"finalist-{index}", "finalist", line.began).ended = line.time
        for index in set(self.accuracies) - set(measured):  # an earlier round dropped it
            trial = self.trials[f"finalist-{index}"]
            trial.status = "EARLY_STOPPED" if trial.status == "RUNNING" else trial.status
        self.accuracies |= measured

    def _finalists(self, line: FinalistsLine) -> None:
        """What became of the finalists, when all is done."""
        if len(line.leaves) != len(self.accuracies):
            raise StoreError(
                f"{self.where}: expected the {len(self.accuracies)} finalists of the journal, got {len(line.leaves)}"
            )
        for index, row in zip(sorted(self.accuracies), line.leaves, strict=True):
            trial = self._trial(f"finalist-{index}", "finalist", line.began)
            trial.stage = "predicted finalist" if row.is_predicted else "finalist"
            ended, was_stopped = trial.ended or line.time, trial.status == "EARLY_STOPPED"
            self._finish(trial, row.genotype, row.validation_accuracy, ended)
            trial.status = "EARLY_STOPPED" if was_stopped else trial.status
        for name in [name for name in self.trials if name.startswith("predicted-")]:
            del self.trials[name]  # they are finalists now

    def _test(self, line: TestLine) -> None:
        stage = _stage_of(line.network)
        if stage is not None:
            trial = self._trial(line.network, stage, line.began)
            self._finish(trial, line.result.genotype, line.result.test_accuracy, line.time)

    def _ended(self, result: TrialResult) -> None:
        """A trial of a live experiment."""
        trial = self._trial(f"trial-{result.number}", "trial", max(0.0, result.time - result.seconds))
        self._name(trial, result.genotype)
        trial.epochs, trial.status, trial.ended, trial.message = (
            result.epochs, result.status, result.time, result.reason
        )  # fmt: skip
        if result.accuracy is not None:
            trial.final = {"default": result.accuracy, **result.metrics}

    def _limits(self, line: LimitsLine) -> None:
        name = re.sub(r"\W+", "", line.network)[:20]
        for index, (text, accuracy) in enumerate(line.compared):
            trial = self._trial(f"neighbour-{name}-{index}", "neighbour within limits", line.began)
            self._finish(trial, text, accuracy, line.time)

    def _prediction(self, line: PredictionLine) -> None:
        for index, (text, mean, std) in enumerate(line.predicted):
            self.predicted[text] = mean, std
            trial = self._trial(f"predicted-{index}", "predicted finalist", line.time)
            trial.status = "WAITING"
            self._name(trial, text)

    def _trial(self, name: str, stage: str, began: float) -> Trial:
        if name not in self.trials:
            if len(self.trials) == MAX_TRIALS:
                raise StoreError(f"{self.where}: expected at most {MAX_TRIALS} trials, which a page can show")
            self.trials[name] = Trial(name, stage, began)
        return self.trials[name]

    def _finish(self, trial: Trial, text: str, accuracy: float, ended: float) -> None:
        """A trial with a result: accuracy first, costs beside it."""
        costs = self._name(trial, text)
        predicted = self.predicted.get(text)
        rank = {} if predicted is None else {"predicted_rank": predicted[0], "predicted_std": predicted[1]}
        trial.final = {"default": accuracy, **costs, **rank}
        trial.status, trial.ended = "SUCCEEDED", max(ended, trial.began)

    def _name(self, trial: Trial, text: str) -> Metrics:
        """Give a trial the genes of a genotype; returns its costs."""
        try:
            architecture = self.space.parse(text)
        except GenotypeError as fault:
            raise StoreError(f"{self.where}: expected a genotype of {self.space.name}, got another: {fault}") from fault
        trial.genes, trial.genotype = flat_genes(self.space, architecture), text
        return self.costs.of(text, architecture)


def _stage_of(network: str) -> str | None:
    """Stage of a network that is trained at the end; None for the name of something else."""
    within = _WITHIN.fullmatch(network)
    return NETWORKS.get(network) if within is None else f"winner within {int(within[1]):,} macs"
