"""Selection: on supernets in which one operation is known to matter."""

import copy
import random

import pytest
import torch

from nasengine.data import batches
from nasengine.data.batches import normalize
from nasengine.protocols import NetworkConfig, TrainingRecipe
from nasengine.randomness import seeded_generator
from nasengine.selection import MagnitudeSelection, PerturbationSelection, SampledPathSelection, Stopping
from nasengine.strategies import RandomStrategy, RegularizedEvolution
from nasengine.supernet import ArchitectureWeights, Mixture, Supernet
from nasengine.supernet.training import ArchitectureTraining, DifferentiableTraining
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from tests.supernet.conftest import stripes

RECIPE = TrainingRecipe(epochs=4, batch_size=20, learning_rate=0.1)


@pytest.fixture(scope="module")
def dataset():
    return stripes()


def trained(space, dataset, epochs=4, cells=1) -> DifferentiableTraining:
    config = NetworkConfig(dataset.num_classes, dataset.image_shape, channels=4, cells=cells, searching=True)
    training = DifferentiableTraining(
        Supernet(space, config, seed=0), ArchitectureWeights(space.topology, seed=0), dataset, RECIPE,
        architecture=ArchitectureTraining(order=1), seed=0,
    )  # fmt: skip
    for step in range(epochs):
        training.run_step(step)
    return training


def select(space, training, dataset, tuning=0, seed=0, **options) -> PerturbationSelection:
    return PerturbationSelection(space, training, dataset, tuning_epochs=tuning, batch_size=64, seed=seed, **options)


def test_magnitude_keeps_the_heaviest_operation_of_each_edge():
    alphas = ArchitectureWeights(NASBENCH201.topology)
    with torch.no_grad():
        for edge, pick in enumerate((3, 0, 1, 2, 4, 3)):
            alphas.alpha["cell"][edge, pick] = 1.0
    selection = MagnitudeSelection(NASBENCH201, alphas)
    selection.run_step(0)
    expected = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_3x3~2|"
    assert NASBENCH201.format(selection.architecture()) == expected


def test_magnitude_leaves_none_out_and_ranks_edges_by_their_operation():
    alphas = ArchitectureWeights(DARTS.topology)
    with torch.no_grad():
        alphas.alpha["normal"].zero_()
        alphas.alpha["normal"][:, 0] = 9.0  # none
        alphas.alpha["normal"][4, 5] = 8.5  # edge 2->3 ... sep_conv_5x5
        alphas.alpha["normal"][2, 6] = 8.0  # edge 0->3, dil_conv_3x3
    selection = MagnitudeSelection(DARTS, alphas)
    selection.run_step(0)
    edges = {(e.source, e.target): e.operation for e in selection.architecture().genotype.edges("normal")}
    assert edges[(2, 3)] == "sep_conv_5x5"
    assert edges[(0, 3)] == "dil_conv_3x3"
    assert (1, 3) not in edges
    assert "none" not in edges.values()


class Planted(Supernet):
    """A supernet whose answers are right for a share of images that falls with what is missing."""

    needed = {0: 3, 1: 1, 2: 2, 3: 0, 4: 4, 5: 3}

    def forward(self, x, choice):
        images, labels = PLANTED
        index = (x[:, None] - images[None]).abs().flatten(2).sum(2).argmin(1)
        penalty = 0.0
        for (_, edge), picks in self.active_of(choice).items():
            if self.needed[edge] not in picks:
                penalty += 0.1
        right = index / len(images) >= penalty
        answers = torch.where(right, labels[index], (labels[index] + 1) % 4)
        return torch.nn.functional.one_hot(answers, 4).float()


PLANTED = (torch.zeros(0), torch.zeros(0, dtype=torch.long))


@pytest.mark.parametrize("criterion", ["accuracy", "loss"])
@pytest.mark.parametrize("stopping", [Stopping(None), Stopping(3.0)])
def test_perturbation_finds_planted_operations(dataset, criterion, stopping):
    global PLANTED
    PLANTED = (normalize(dataset.validation.images, dataset), dataset.validation.labels)
    training = trained(NASBENCH201, dataset, epochs=0)
    training.supernet = Planted(NASBENCH201, training.supernet.config)
    selection = select(NASBENCH201, training, dataset, criterion=criterion, stopping=stopping)
    reports = [selection.run_step(step)["decisions"][0] for step in range(selection.num_steps)]
    names = NASBENCH201.topology.candidates["cell"]
    assert selection.decided == {("cell", edge): pick for edge, pick in Planted.needed.items()}
    for report in reports:
        edge = NASBENCH201.topology.edge_index(*report["edge"])
        best = names[edge][Planted.needed[edge]]
        assert report["kept"] == best == max(report["damage_without"], key=report["damage_without"].get)
        assert set(report["damage_without"]) == set(names[edge])


@pytest.mark.parametrize("criterion", ["accuracy", "loss"])
def test_perturbation_compares_what_the_supernet_says(dataset, criterion):
    """The first decision, recomputed by hand: weights of one operation set to zero, nothing else changed."""
    training = trained(NASBENCH201, dataset)
    selection = select(NASBENCH201, training, dataset, criterion=criterion, stopping=Stopping(None))
    before = copy.deepcopy(training.supernet.state_dict())
    report = selection.run_step(0)["decisions"][0]
    edge = NASBENCH201.topology.edge_index(*report["edge"])
    supernet = training.supernet.train()
    weights = training.alphas.mean()["cell"].detach()
    for pick, name in enumerate(NASBENCH201.topology.candidates["cell"][edge]):
        changed = weights.clone()
        changed[edge, pick] = 0.0
        wrong, loss = 0, 0.0
        for images, labels in batches(dataset.validation, dataset, 64, seeded_generator(0, "compared")):
            scores = supernet(images, Mixture({"cell": changed})).detach()
            wrong += int((scores.argmax(1) != labels).sum())
            loss += float(torch.nn.functional.cross_entropy(scores, labels, reduction="sum"))
        expected = {"accuracy": wrong, "loss": loss}[criterion] / len(dataset.validation)
        assert report["damage_without"][name] == pytest.approx(expected, rel=1e-5)
    assert report["passes"] == 5.0
    supernet.load_state_dict(before)


@pytest.mark.slow
def test_darts_selection_keeps_two_edges_a_node_and_reports_why(dataset):
    training = trained(DARTS, dataset, epochs=1, cells=3)
    selection = select(DARTS, training, dataset)
    assert selection.num_steps == 14 + 3
    reports = [report for step in range(17) for report in selection.run_step(step)["decisions"]]
    DARTS.validate(selection.architecture())
    edges = [report for report in reports if "edge" in report]
    nodes = [report for report in reports if "node" in report]
    assert len(edges) == 28
    assert sorted(report["node"] for report in nodes) == [3, 3, 4, 4, 5, 5]
    assert all("none" not in report["damage_without"] for report in edges)
    for report in nodes:
        assert len(report["kept"]) == 2
        assert len(report["rounds"]) == report["node"] - 2
        for step in report["rounds"]:
            damage = step["damage_without"]
            assert damage[str(step["removed"])] == min(damage.values())


def test_darts_selection_resumes_bit_for_bit_between_two_nodes(dataset):
    """A decision depends on the order of the seed and on the state alone, in topology projection as well."""
    training = trained(DARTS, dataset, epochs=0, cells=3)
    whole = select(DARTS, training, dataset)
    whole.decided = {(kind, edge): 3 + edge % 3 for kind in ("normal", "reduce") for edge in range(14)}
    whole._began = True
    whole.run_step(14)
    middle = copy.deepcopy(whole.state())
    reports = [whole.run_step(step) for step in (15, 16)]
    other = select(DARTS, trained(DARTS, dataset, epochs=0, cells=3), dataset)
    other.load_state(middle)
    assert [other.run_step(step) for step in (15, 16)] == reports
    assert other.architecture() == whole.architecture()


def test_selection_resumes_bit_for_bit_in_the_middle_of_tuning(dataset):
    training = trained(NASBENCH201, dataset, epochs=1)
    state = copy.deepcopy(training.state())
    whole = select(NASBENCH201, training, dataset, tuning=1)
    assert whole.num_steps == 6 + 5
    for step in range(4):
        whole.run_step(step)
    middle = copy.deepcopy(whole.state())
    for step in range(4, whole.num_steps):
        whole.run_step(step)
    other_training = trained(NASBENCH201, dataset, epochs=0)
    other_training.load_state(state)
    other = select(NASBENCH201, other_training, dataset, tuning=1)
    other.load_state(middle)
    for step in range(4, other.num_steps):
        other.run_step(step)
    assert other.architecture() == whole.architecture()
    expected = whole.state().tensors
    assert all(torch.equal(value, expected[name]) for name, value in other.state().tensors.items())


def test_order_of_decisions_depends_on_the_seed(dataset):
    training = trained(NASBENCH201, dataset, epochs=0)
    orders = {
        tuple(select(NASBENCH201, training, dataset, seed=seed)._order("cell", "edges", [0, 1, 2, 3]))
        for seed in range(9)
    }
    assert len(orders) > 3


@pytest.mark.parametrize("strategy", [RandomStrategy, RegularizedEvolution])
def test_sampled_paths_keep_the_best_and_resume(strategy):
    from nasengine.protocols import Evaluation

    def evaluate(architecture):
        return Evaluation(architecture, {"accuracy": NASBENCH201.format(architecture).count("nor_conv_3x3") / 6})

    def make() -> SampledPathSelection:
        return SampledPathSelection(NASBENCH201, evaluate, strategy, num_paths=20, seed=1)

    whole = make()
    found = [whole.run_step(step) for step in range(20)]
    assert NASBENCH201.format(whole.architecture()) == max(found, key=lambda entry: entry["accuracy"])["genotype"]
    first = make()
    for step in range(7):
        first.run_step(step)
    second = make()
    second.load_state(first.state())
    rest = [second.run_step(step) for step in range(7, 20)]
    assert rest == found[7:]


def test_paths_are_compared_by_loss_and_each_is_measured_once():
    """Losses say the opposite of accuracies here; evolution in this small space proposes paths more than once."""
    from nasengine.protocols import Evaluation

    measured = []

    def evaluate(architecture):
        measured.append(NASBENCH201.format(architecture))
        share = measured[-1].count("nor_conv_3x3") / 6
        return Evaluation(architecture, {"accuracy": share, "loss": share})

    def strategy(space, rng):
        return RegularizedEvolution(space, rng, population_size=5, sample_size=5)

    selection = SampledPathSelection(NASBENCH201, evaluate, strategy, num_paths=80, seed=1, criterion="loss")
    found = [selection.run_step(step) for step in range(80)]
    assert NASBENCH201.format(selection.architecture()) == min(found, key=lambda entry: entry["loss"])["genotype"]
    assert {entry["genotype"] for entry in found} == set(measured)
    assert len(measured) == len(set(measured)) < 80


def test_evolution_improves_on_random_search():
    from nasengine.protocols import Evaluation

    def score(architecture):
        return NASBENCH201.format(architecture).count("nor_conv_3x3") / 6

    def run(strategy) -> float:
        best = 0.0
        for _ in range(150):
            (architecture,) = strategy.ask(1)
            strategy.tell([Evaluation(architecture, {"accuracy": score(architecture)})])
            best = max(best, score(architecture))
        return best

    means = [
        sum(run(make(NASBENCH201, random.Random(seed))) for seed in range(5)) / 5
        for make in (lambda s, r: RegularizedEvolution(s, r, population_size=20, sample_size=5), RandomStrategy)
    ]
    assert means[0] > means[1]
