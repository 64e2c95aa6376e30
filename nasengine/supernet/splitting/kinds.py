"""What splitting needs to know about a kind of supernet."""

from typing import Protocol, TypeVar, runtime_checkable

from torch import nn

from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.protocols import Task
from nasengine.supernet.splitting.schedule import SplitSchedule
from nasengine.supernet.splitting.scores import EdgeScore

Supernets = TypeVar("Supernets", bound=nn.Module)


@runtime_checkable
class SplitKind(Protocol[Supernets]):
    """Supernets of one kind, and how they are trained and scored while they are split."""

    @property
    def space_name(self) -> str: ...

    def choices(self, part: Supernets) -> Selection:
        """What a split may divide: for each choice the candidates of a part that an architecture may contain."""
        ...

    def allowed(self, part: Supernets) -> Selection:
        """All candidates of a part."""
        ...

    def candidates(self, part: Supernets, key: ChoiceKey) -> tuple[str, ...]:
        """Names of all candidates of a choice."""
        ...

    def place(self, part: Supernets, key: ChoiceKey) -> str | None:
        """What people call a choice; None where its key says it."""
        ...

    def training(self, part: Supernets, epochs: int, seed: int) -> Task:
        """Training of a part; its steps are epochs, counted from the beginning of the whole."""
        ...

    def scores(
        self, part: Supernets, choices: Selection, schedule: SplitSchedule, *, batch_seed: int, context_seed: int
    ) -> list[EdgeScore]:
        """Gradient matching of some choices of a part, on random training batches; the others are a random context."""
        ...

    def child(self, part: Supernets, allowed: Selection, restart_seed: int | None) -> Supernets:
        """A part of a part, with its weights or, where there is a seed, with new ones."""
        ...
