"""Parts of a run that can be done elsewhere: their outcomes are recorded as if they had been done here.

A run does what its store does not have yet. Workers therefore only fill the store: whatever they recorded is not done
again, whatever they could not do is done here, and the outcome is that of a run without workers.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from nasengine.store import RunStore

LEAF, FINALIST, TRAINING, MEMBER = "leaf", "finalist", "training", "member"


@dataclass(frozen=True)
class Part:
    """Work that depends on no other part.

    Args:
        kind: ``leaf`` (a sub-supernet and its selection), ``finalist`` (its training and measurement in one round of
            the race), ``training`` (a network) or ``member`` (of a family).
        name: of the leaf, the finalist and its round, the network or the member.
        tasks: in whose steps it is recorded.
        genotype: of the network.
    """

    kind: str
    name: str
    tasks: tuple[str, ...]
    genotype: str = ""


@dataclass(frozen=True)
class Work:
    """Parts of one run.

    Args:
        parts: what to do.
        settings: of the search.
        store: of the run; outcomes are recorded here.
        needed_tasks: whose last states the parts begin from.
        family: settings of the family; None for parts of the search itself.
        parent: store of the search, for a family.
    """

    parts: Sequence[Part]
    settings: dict[str, Any]
    store: RunStore
    needed_tasks: tuple[str, ...] = ()
    family: dict[str, Any] | None = None
    parent: RunStore | None = None


@runtime_checkable
class Workers(Protocol):
    """Does work elsewhere; inside ``kept``, one piece of work after another with the same workers.

    Raises:
        WorkerError: a part failed for a reason of its own, or its worker died again and again.
    """

    def do(self, work: Work) -> None: ...
    def kept(self) -> AbstractContextManager[None]: ...
