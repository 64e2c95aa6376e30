"""How much the candidates of an edge agree about the weights that they share.

Hu et al., 2022, arXiv 2203.15207, section 3.2: the distance of two candidates is one minus the cosine of the gradients
that they give the shared weights, averaged over random training batches.

All candidates are scored in one forward and one backward pass (``repetitions.py``). A weight's gradients under all
candidates meet in its own backward step, are reduced to dot products there and are freed, so that no more than one
layer's worth of them is ever held.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy
import torch
import torch.nn.functional as F

from nasengine.data.batches import Batch
from nasengine.errors import ConfigError, TrainingError
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.network import module_key
from nasengine.supernet.choice import Mixture
from nasengine.supernet.splitting.partition import (
    Criterion,
    Groups,
    best_partition,
    best_partitions,
    normalized_cut,
)
from nasengine.supernet.splitting.repetitions import GramMatrix, repeated_functions
from nasengine.supernet.supernet import Supernet


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


def score_edges(
    supernet: Supernet,
    edges: Selection,
    mixtures: Iterable[Mixture],
    batches: Iterable[Batch],
    *,
    num_groups: int = 2,
    settings: GradientMatching | None = None,
) -> list[EdgeScore]:
    """Score edges on training batches until the best edge and its division are settled.

    All edges see the same batches. An edge leaves the race when hardly any resample of them makes it the best.

    Args:
        supernet: stays as it is, running statistics included.
        edges: the edges to score, and the candidates that are to be divided on each.
        mixtures: what the other edges compute, one for each batch.
        batches: random training batches.
        num_groups: ways of the split.
        settings: of the score.

    Returns:
        One score for each edge, in the order of ``edges``.

    Raises:
        ConfigError: an edge has fewer candidates than groups, or there are no batches.
        TrainingError: a gradient is not finite.
    """
    settings = settings or GradientMatching()
    _check_candidates(edges, num_groups)
    found: dict[ChoiceKey, list[numpy.ndarray]] = {key: [] for key in edges}
    alive = list(edges)
    for number, (batch, mixture) in enumerate(zip(batches, mixtures, strict=False), start=1):
        for key in alive:
            found[key].append(cosine_distance(gradient_gram(supernet, key, edges[key], mixture, batch, settings)))
        alive, is_settled = _race(found, alive, num_groups, settings)
        if is_settled or number == settings.max_batches:
            break
    _check_measured(found)
    return [_score(key, tuple(edges[key]), matrices, num_groups, settings) for key, matrices in found.items()]


def _check_candidates(edges: Selection, num_groups: int) -> None:
    for key, candidates in edges.items():
        if len(candidates) < num_groups:
            raise ConfigError(f"edge {key}: expected at least {num_groups} candidates to split, got {len(candidates)}")


def _check_measured(found: dict[ChoiceKey, list[numpy.ndarray]]) -> None:
    if not all(found.values()):
        raise ConfigError("gradient matching: expected edges and training batches to score them, got none")


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
    number = len(found[alive[0]]) if alive else 0
    if settings.stability is None or number < settings.min_batches:
        return alive, False
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


def gradient_gram(
    supernet: Supernet,
    key: ChoiceKey,
    candidates: Sequence[int],
    mixture: Mixture,
    batch: Batch,
    settings: GradientMatching,
) -> numpy.ndarray:
    """Dot products of the shared weights' gradients under each pair of candidates, for one batch.

    Arguments are those of ``score_edges``, for one edge and batch.

    Returns:
        Float64, (num_candidates, num_candidates).

    Raises:
        TrainingError: a gradient is not finite.
    """
    images, labels = batch
    times, gram = len(candidates), GramMatrix(len(candidates))
    own = {name.rpartition(".")[0].removeprefix("nodes.") for name in supernet.candidate_parameters(key)}
    counted = {
        name
        for name in map(module_key, supernet.graph.names)
        if name not in own and not name.startswith(settings.left_out)
    }
    detached = Mixture(
        {kind: rows.detach() for kind, rows in mixture.weights.items()},
        {**supernet.active_of(mixture), key: candidates},
    )
    with torch.enable_grad():
        functions = repeated_functions(supernet, times, gram, counted)
        repeated = images.repeat(1, times, 1, 1)
        logits = supernet.run_repeated(repeated, detached, functions, key, candidates, hard=settings.hard)
        # Each repetition's mean loss; their sum has, for each, the gradient that it would have alone.
        loss = F.cross_entropy(logits.view(len(images) * times, -1), labels.repeat_interleave(times)) * times
        if loss.requires_grad:  # a path of dead ends leads to no weight that counts
            loss.backward()  # weights are given nothing: all that reaches them is recorded and dropped
    return _finite(gram.numpy(), key)


def _finite(found: numpy.ndarray, key: ChoiceKey) -> numpy.ndarray:
    if not numpy.isfinite(found).all():
        raise TrainingError(
            f"gradient matching of edge {key}: expected finite gradients, got nan or inf; train with less"
        )
    return found
