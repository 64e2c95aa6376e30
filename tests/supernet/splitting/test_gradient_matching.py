"""The score against one explicit backward pass for each candidate."""

import copy
from dataclasses import replace
from itertools import repeat

import numpy
import pytest
import torch
import torch.nn.functional as F

from nasengine.cells import CellTopology
from nasengine.data import evaluation_batches
from nasengine.errors import ConfigError, TrainingError
from nasengine.operations.candidates import CANDIDATES
from nasengine.protocols import NetworkConfig
from nasengine.supernet import ArchitectureWeights, Mixture, Supernet
from nasengine.supernet.splitting import GradientMatching, best_edge, score_edges
from nasengine.supernet.splitting.gradient_matching import gradient_gram
from nasengine.supernet.splitting.scores import cosine_distance
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
    weights = {kind: rows.double().detach() for kind, rows in ArchitectureWeights(space.topology, 1).mean().items()}
    images, labels = next(evaluation_batches(dataset.train, dataset, 10))
    batch = (images.double(), labels)
    settings = GradientMatching(hard=hard)
    expected = explicit(supernet, key, weights, batch, settings)
    found = gradient_gram(supernet, key, supernet.allowed[key], Mixture(weights), batch, settings)
    numpy.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * abs(expected).max())
    assert all(torch.equal(before[name], value) for name, value in supernet.state_dict().items())
    assert all(weight.requires_grad and weight.grad is None for weight in supernet.parameters())


def test_a_path_of_dead_ends_has_no_gradients(dataset):
    """Single-path training draws such contexts: nothing but the classifier's bias is learned from."""
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, 4, 1, searching=True)
    supernet = Supernet(NASBENCH201, config, seed=0)
    none = NASBENCH201.topology.candidates["cell"][0].index("none")
    weights = torch.zeros(6, 5)
    weights[:, none] = 1.0
    batch = next(evaluation_batches(dataset.train, dataset, 10))
    path = Mixture({"cell": weights}, {("cell", edge): (none,) for edge in range(6)})
    found = gradient_gram(supernet, ("cell", 0), supernet.allowed[("cell", 0)], path, batch, GradientMatching())
    assert (found == 0).all()
    assert (cosine_distance(found) == 1 - numpy.eye(5)).all()


def test_distances_are_cosines():
    vectors = numpy.array([[1.0, 0.0], [2.0, 0.0], [0.0, 3.0], [-1.0, 0.0], [0.0, 0.0]])
    distance = cosine_distance(vectors @ vectors.T)
    assert distance[0].tolist() == pytest.approx([0, 0, 1, 2, 1])
    assert numpy.diag(distance).tolist() == [0] * 5


def endless(dataset, size=16):
    while True:
        yield from evaluation_batches(dataset.train, dataset, size)


def test_scoring_stops_when_edge_and_division_are_settled(supernet, alphas, dataset):
    mixtures = repeat(alphas.mixture(detach=True))
    edges = {key: supernet.allowed[key] for key in (("cell", 0), ("cell", 2), ("cell", 5))}
    scores = score_edges(supernet, edges, mixtures, endless(dataset), settings=GradientMatching(max_batches=40))
    best = best_edge(scores)
    assert [score.key for score in scores] == list(edges)
    assert best.num_batches == max(score.num_batches for score in scores) <= 40
    assert all(score.num_batches >= 6 for score in scores)
    assert sorted(pick for group in best.picks() for pick in group) == [0, 1, 2, 3, 4]
    assert 0 < best.value < 1.5
    fixed = score_edges(
        supernet, edges, mixtures, endless(dataset), settings=GradientMatching(max_batches=9, stability=None)
    )
    assert {score.num_batches for score in fixed} == {9}


def test_edges_that_lost_the_race_are_not_chosen():
    from nasengine.supernet.splitting import EdgeScore

    distance = numpy.zeros((2, 2))
    scores = [
        EdgeScore(("cell", 0), (0, 1), distance, ((0,), (1,)), 0.1, 6),
        EdgeScore(("cell", 1), (0, 1), distance, ((0,), (1,)), 0.3, 12),
        EdgeScore(("cell", 2), (0, 1), distance, ((0,), (1,)), 0.2, 12),
    ]
    assert best_edge(scores).key == ("cell", 2)


NAMES = ("op_a", "op_b", "op_c", "op_d", "op_e")


@pytest.mark.parametrize(("edge", "flipped"), [(0, (1, 3)), (4, (0, 2, 4)), (2, (2,))])
def test_planted_groups_are_split_exactly_there(dataset, monkeypatch, edge, flipped):
    """All candidates of an edge compute the same up to noise, but on one edge some of them pass on the negative."""
    for name in NAMES:
        monkeypatch.setitem(CANDIDATES, name, CANDIDATES["nor_conv_1x1"])
    topology = CellTopology(1, 3, {"cell": (NAMES,) * 6})
    space = replace(NASBENCH201, name="planted", topology=topology)
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, 4, 1, searching=True)
    supernet = Supernet(space, config, seed=0)
    plant(supernet, edge, flipped)
    mixtures = repeat(ArchitectureWeights(topology).mixture(detach=True))
    scores = score_edges(
        supernet, supernet.allowed, mixtures, endless(dataset, 40), settings=GradientMatching(max_batches=4)
    )
    best = best_edge(scores)
    assert best.key == ("cell", edge)
    assert set(best.picks()) == {flipped, tuple(pick for pick in range(5) if pick not in flipped)}


def plant(supernet, edge, flipped) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in supernet.named_parameters():
            parts = name.split("/")
            if parts[-2] not in NAMES:
                continue
            pick = NAMES.index(parts[-2])
            twin = supernet.get_parameter(name.replace(f"/{NAMES[pick]}/", f"/{NAMES[0]}/"))
            if pick > 0:
                weight.copy_(twin + 0.01 * twin.std() * torch.randn(weight.shape, generator=generator))
        for name, weight in supernet.candidate_parameters(("cell", edge)).items():
            if NAMES.index(name.split("/")[-2]) in flipped:
                weight.neg_()


def test_edges_that_cannot_be_split_are_refused(supernet, alphas, dataset):
    mixtures = repeat(alphas.mixture(detach=True))
    with pytest.raises(ConfigError, match="expected at least 2 candidates to split, got 1"):
        score_edges(supernet, {("cell", 1): (3,)}, mixtures, endless(dataset))
    with pytest.raises(ConfigError, match="expected edges and training batches to score them, got none"):
        score_edges(supernet, {("cell", 0): (1, 2)}, mixtures, [])


def test_gradients_that_are_not_finite_are_an_error(supernet, alphas, dataset):
    with torch.no_grad():
        next(weight for weight in supernet.parameters() if weight.ndim == 4).fill_(float("nan"))
    with pytest.raises(TrainingError, match="expected finite gradients, got nan or inf"):
        score_edges(supernet, {("cell", 0): (1, 2)}, repeat(alphas.mixture(detach=True)), endless(dataset))
