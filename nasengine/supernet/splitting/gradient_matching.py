"""How much the candidates of an edge agree about the weights that they share.

Hu et al., 2022, arXiv 2203.15207, section 3.2: the distance of two candidates is one minus the cosine of the gradients
that they give the shared weights, averaged over random training batches.

All candidates are scored in one forward and one backward pass (``repetitions.py``). A weight's gradients under all
candidates meet in its own backward step, are reduced to dot products there and are freed, so that no more than one
layer's worth of them is ever held.
"""

from collections.abc import Iterable, Sequence

import numpy
import torch
import torch.nn.functional as F

from nasengine.data.batches import Batch
from nasengine.graph.supergraph import ChoiceKey, Selection
from nasengine.network import module_key
from nasengine.supernet.choice import Mixture
from nasengine.supernet.splitting.repetitions import GramMatrix, repeated_functions
from nasengine.supernet.splitting.scores import EdgeScore, GradientMatching, score_choices
from nasengine.supernet.supernet import Supernet


def score_edges(
    supernet: Supernet,
    edges: Selection,
    mixtures: Iterable[Mixture],
    batches: Iterable[Batch],
    *,
    num_groups: int = 2,
    settings: GradientMatching | None = None,
) -> list[EdgeScore]:
    """Score edges on training batches until the best edge and its division are settled; see ``score_choices``.

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
    found = settings or GradientMatching()

    def gram_of(key: ChoiceKey, candidates: Sequence[int], mixture: Mixture, batch: Batch) -> numpy.ndarray:
        return gradient_gram(supernet, key, candidates, mixture, batch, found)

    return score_choices(edges, gram_of, mixtures, batches, num_groups=num_groups, settings=found)


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
    return gram.numpy()
