"""The score against one explicit backward pass for each candidate."""

import copy

import numpy
import pytest
import torch
import torch.nn.functional as F

from nasengine.data import evaluation_batches
from nasengine.errors import ConfigError
from nasengine.protocols import NetworkConfig
from nasengine.supernet import ArchitectureWeights, Mixture, Supernet
from nasengine.supernet.splitting import GradientMatching, score_edge
from nasengine.supernet.splitting.gradient_matching import cosine_distance, gradient_gram
from nasengine.supernet.training import kept_statistics
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


def explicit(supernet, key, weights, batch, settings) -> numpy.ndarray:
    """Textbook: for each candidate zero the others on its edge, backward, one long vector of shared gradients."""
    images, labels = batch
    kind, edge = key
    own = set(supernet.candidate_parameters(key))
    vectors = []
    for pick in supernet.allowed[key]:
        changed = {name: rows.clone() for name, rows in weights.items()}
        value = 1.0 if settings.hard else changed[kind][edge, pick].item()
        changed[kind][edge] = 0.0
        changed[kind][edge, pick] = value
        with kept_statistics(supernet):
            F.cross_entropy(supernet(images, Mixture(changed)), labels).backward()
        parts = [
            (weight.grad if weight.grad is not None else torch.zeros_like(weight)).reshape(-1)
            for name, weight in supernet.named_parameters()
            if name not in own and not name.removeprefix("nodes.").startswith(settings.left_out)
        ]
        supernet.zero_grad(set_to_none=True)
        vectors.append(torch.cat(parts))
    stacked = torch.stack(vectors)
    return (stacked @ stacked.T).numpy()


@pytest.mark.parametrize("hard", [True, False])
@pytest.mark.parametrize(
    ("space", "key"),
    [(NASBENCH201, ("cell", 0)), (NASBENCH201, ("cell", 4)), (DARTS, ("normal", 3)), (DARTS, ("reduce", 9))],
)
def test_gram_is_that_of_explicit_backward_passes(dataset, space, key, hard):
    torch.manual_seed(0)
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, 4, 3 if space is DARTS else 1, searching=True)
    supernet = Supernet(space, config, seed=0).double()
    before = copy.deepcopy(supernet.state_dict())
    weights = {kind: rows.double().detach() for kind, rows in ArchitectureWeights(space.topology, 1).softmax().items()}
    images, labels = next(evaluation_batches(dataset.train, dataset, 10))
    batch = (images.double(), labels)
    settings = GradientMatching(hard=hard)
    expected = explicit(supernet, key, weights, batch, settings)
    found = gradient_gram(supernet, key, Mixture(weights), batch, settings)
    numpy.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * abs(expected).max())
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in supernet.parameters())


def test_distances_are_cosines():
    vectors = numpy.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]])
    distance = cosine_distance(vectors @ vectors.T)
    assert distance[0].tolist() == pytest.approx([0, 0, 1, 2, 1])
    assert numpy.diag(distance).tolist() == [0] * 5


def test_scoring_stops_when_the_division_is_settled(supernet, alphas, dataset):
    def feed():
        while True:
            yield from evaluation_batches(dataset.train, dataset, 16)

    mixture = alphas.mixture(detach=True)
    score = score_edge(supernet, ("cell", 2), mixture, feed(), settings=GradientMatching(max_batches=40))
    assert 6 <= score.num_batches <= 40
    assert sorted(pick for group in score.picks() for pick in group) == [0, 1, 2, 3, 4]
    assert 0 < score.value < 1.5
    fixed = score_edge(supernet, ("cell", 2), mixture, feed(), settings=GradientMatching(max_batches=9, stability=None))
    assert fixed.num_batches == 9


def test_edges_that_cannot_be_split_are_refused(supernet, alphas, dataset):
    smaller = supernet.restrict({**supernet.allowed, ("cell", 1): (3,)})
    mixture = Mixture(alphas.softmax(), smaller.allowed)
    with pytest.raises(ConfigError, match="expected at least 2 candidates to split, got 1"):
        score_edge(smaller, ("cell", 1), mixture, [])
    with pytest.raises(ConfigError, match="expected training batches to score it, got none"):
        score_edge(smaller, ("cell", 0), mixture, [])
