"""From gradients to the choice that is split: distances of candidates, and a race between choices.

Hu et al., 2022, arXiv 2203.15207, section 3.2. Whatever kind of supernet the gradients come from, the distances, the
division, and the criterion of divisions and choices are these.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy

from nasengine.data.batches import Batch
from nasengine.errors import ConfigError, TrainingError
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.supernet.splitting.partition import (
    Criterion,
    Groups,
    best_partition,
    best_partitions,
    normalized_cut,
)

Context = TypeVar("Context")


@dataclass(frozen=True)
class GradientMatching:
    """Settings of the score.

    Args:
        hard: give the candidate weight 1 on its edge (the released code for NAS-Bench-201), not its mixture weight.
        max_batches: training batches at most; the paper takes 100.
        min_batches: batches before the first test whether the outcome is settled.
        stability: share of bootstrap resamples of the batches that must agree on edge and division to stop, and that an
            edge must win to stay in the race, as one minus this; None: all batches for all edges, as in the paper.
        num_resamples: bootstrap resamples.
        batch_size: images in a batch; as many as in training by default.
        criterion: of the divisions, and of the edges.
        left_out: weights whose node names start like this do not count (stem and classifier, as in the released code).
    """

    hard: bool = True
    max_batches: int = 100
    min_batches: int = 6
    stability: float | None = 0.95
    num_resamples: int = 100
    batch_size: int | None = None
    criterion: Criterion = normalized_cut
    left_out: tuple[str, ...] = ("stem/", "head/")


@dataclass(frozen=True)
class EdgeScore:
    """Outcome for one edge.

    Args:
        key: the choice.
        candidates: indices of the candidates, in the order of ``distance``.
        distance: mean of one minus cosine, (num_candidates, num_candidates).
        groups: the best division, as positions in ``candidates``.
        value: its criterion; the normalised cut is 1 where splitting brings nothing, smaller where candidates disagree.
        num_batches: batches that were needed.
    """

    key: ChoiceKey
    candidates: tuple[int, ...]
    distance: numpy.ndarray = field(repr=False)
    groups: Groups
    value: float
    num_batches: int

    def picks(self) -> Groups:
        """The groups as candidate indices."""
        return tuple(tuple(self.candidates[place] for place in group) for group in self.groups)


def score_choices(
    choices: Selection,
    gram_of: Callable[[ChoiceKey, Sequence[int], Context, Batch], numpy.ndarray],
    contexts: Iterable[Context],
    batches: Iterable[Batch],
    *,
    num_groups: int,
    settings: GradientMatching,
) -> list[EdgeScore]:
    """Score choices on training batches until the best one and its division are settled.

    All choices see the same contexts and batches. A choice leaves the race as soon as hardly any bootstrap resample of
    the batches makes it the best.

    Args:
        choices: to score, and the candidates that are to be divided in each.
        gram_of: dot products of the shared weights' gradients under each pair of candidates, from a choice, its
            candidates, a context and a batch; (num_candidates, num_candidates).
        contexts: what all other choices compute, one for each batch.
        batches: random training batches.
        num_groups: ways of the split.
        settings: of the score.

    Returns:
        One score for each choice, in their order.

    Raises:
        ConfigError: a choice has fewer candidates than groups, or there are no batches.
        TrainingError: a gradient is not finite.
    """
    for key, candidates in choices.items():
        if len(candidates) < num_groups:
            raise ConfigError(f"edge {key}: expected at least {num_groups} candidates to split, got {len(candidates)}")
    found: dict[ChoiceKey, list[numpy.ndarray]] = {key: [] for key in choices}
    alive = list(choices)
    for number, (batch, context) in enumerate(zip(batches, contexts, strict=False), start=1):
        for key in alive:
            found[key].append(cosine_distance(_checked(gram_of(key, choices[key], context, batch), key)))
        if settings.stability is not None and number >= settings.min_batches:
            alive, is_settled = _race(found, alive, num_groups, settings)
            if is_settled:
                break
        if number == settings.max_batches:
            break
    if not all(found.values()):
        raise ConfigError("gradient matching: expected edges and training batches to score them, got none")
    return [_score(key, tuple(choices[key]), matrices, num_groups, settings) for key, matrices in found.items()]


def best_edge(scores: Sequence[EdgeScore]) -> EdgeScore:
    """The edge to split: the smallest value among those that were in the race to its end; of equal ones the first."""
    most = max(score.num_batches for score in scores)
    return min((score for score in scores if score.num_batches == most), key=lambda score: score.value)


def _score(
    key: ChoiceKey,
    candidates: tuple[int, ...],
    matrices: list[numpy.ndarray],
    num_groups: int,
    settings: GradientMatching,
) -> EdgeScore:
    distance = numpy.mean(matrices, axis=0)
    groups, value = best_partition(distance, num_groups, settings.criterion)
    return EdgeScore(key, candidates, distance, groups, value, len(matrices))


def _race(
    found: dict[ChoiceKey, list[numpy.ndarray]], alive: list[ChoiceKey], num_groups: int, settings: GradientMatching
) -> tuple[list[ChoiceKey], bool]:
    """Edges that may still be the best, and whether edge and division are settled, by resampling the batches."""
    assert settings.stability is not None
    number = len(found[alive[0]])
    rng = numpy.random.default_rng(number)
    counts = rng.multinomial(number, [1 / number] * number, size=settings.num_resamples) / number
    outcomes = []
    for key in alive:
        stacked = numpy.stack(found[key])
        resampled = numpy.tensordot(counts, stacked, 1)
        outcomes.append(best_partitions(resampled, num_groups, settings.criterion))
    winners = numpy.array([[value for _, value in row] for row in outcomes]).argmin(0)
    shares = numpy.bincount(winners, minlength=len(alive)) / settings.num_resamples
    best = int(shares.argmax())
    chosen, _ = best_partition(numpy.mean(found[alive[best]], axis=0), num_groups, settings.criterion)
    agreeing = sum(winner == best and outcomes[best][draw][0] == chosen for draw, winner in enumerate(winners))
    left = [
        key for key, share in zip(alive, shares, strict=True) if share > 1 - settings.stability or key == alive[best]
    ]
    return left, bool(agreeing >= settings.stability * settings.num_resamples)


def cosine_distance(gram: numpy.ndarray) -> numpy.ndarray:
    """One minus cosine of vectors whose dot products are given; vectors of length zero are at distance 1 from all."""
    norms = numpy.sqrt(numpy.diag(gram))
    scale = numpy.outer(norms, norms)
    cosine = numpy.divide(gram, scale, out=numpy.zeros_like(gram), where=scale > 0)
    numpy.fill_diagonal(cosine, 1.0)
    return 1.0 - cosine


def _checked(gram: numpy.ndarray, key: ChoiceKey) -> numpy.ndarray:
    if not numpy.isfinite(gram).all():
        raise TrainingError(
            f"gradient matching of edge {key}: expected finite gradients, got nan or inf; train with less"
        )
    return gram
