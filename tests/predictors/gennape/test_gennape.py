"""The predictor as a whole: without labels, with a few, stored and read back."""

import json
import random
from dataclasses import replace

import numpy
import pytest
import torch

from nasengine.errors import ConfigError
from nasengine.graph import cost
from nasengine.protocols import PoolPredictor
from predictors.gennape.building import pretrained_encoder, pretrained_gennape, unlabelled_graphs
from predictors.gennape.encoder import EncoderConfig
from predictors.gennape.ensemble_fitting import EnsembleConfig, Family
from predictors.gennape.few_shot import FAST, FewShotConfig
from predictors.gennape.gennape import Gennape
from predictors.gennape.heads import HeadTraining
from predictors.gennape.pretraining import PretrainingConfig
from search_spaces.hiaml import HIAML
from search_spaces.nasbench101 import NASBENCH101
from search_spaces.nasbench_macro import NASBENCH_MACRO

ALL = FewShotConfig(folds=2)
QUICK = FewShotConfig(members=FAST, folds=3)


def graphs_of(space, count, seed=0):
    rng = random.Random(seed)
    return [space.to_graph(space.sample(rng), space.defaults) for _ in range(count)]


def quality(graphs):
    """What plays accuracy: larger networks are better."""
    return numpy.array([0.5 + 0.05 * numpy.log(cost(graph).macs) / 2 for graph in graphs])


@pytest.fixture(scope="module")
def pretrained():
    encoder = pretrained_encoder(
        unlabelled_graphs([NASBENCH_MACRO, HIAML, NASBENCH101], 20, 0),
        encoder=EncoderConfig(width=16, rounds=2, embedding_size=32), config=PretrainingConfig(epochs=2, batch_size=20),
    )  # fmt: skip
    families = {}
    for space in (NASBENCH_MACRO, HIAML):
        graphs = graphs_of(space, 60, seed=1)
        families[space.name] = Family(graphs, quality(graphs))
    config = EnsembleConfig(heads=HeadTraining(epochs=10), num_trees=20, min_leaf=3)
    return pretrained_gennape(families, encoder, config)


@pytest.fixture
def gennape(pretrained):
    return Gennape(pretrained.ensemble)


def test_ranks_another_family_without_its_labels(gennape):
    graphs = graphs_of(NASBENCH101, 40)
    gennape.adapt(graphs)
    found = gennape.predict(graphs)
    assert isinstance(gennape, PoolPredictor)
    assert 0.4 < found.mean.mean() < 0.6  # ranks in this very pool
    assert numpy.corrcoef(found.mean, quality(graphs))[0, 1] > 0.5
    assert set(gennape.ensemble.left_out) == {"nasbench_macro", "hiaml"}


def test_a_network_scores_the_same_in_any_company(gennape):
    graphs = graphs_of(NASBENCH101, 12)
    together = gennape.predict(graphs).mean
    numpy.testing.assert_allclose([gennape.predict([graph]).mean[0] for graph in graphs], together, atol=1e-6)
    numpy.testing.assert_allclose(gennape.predict(iter(graphs)).mean, together, atol=1e-6)


def test_learns_from_few_labels_and_says_how_sure_it_is(gennape):
    graphs = graphs_of(NASBENCH101, 120)
    labels = quality(graphs)
    gennape.fit(graphs[:60], labels[:60].tolist(), config=QUICK)
    found = gennape.predict(graphs[60:])
    assert numpy.corrcoef(found.mean, labels[60:])[0, 1] > 0.8
    assert 0.7 < (numpy.abs(found.mean - labels[60:]) <= 1.645 * found.std).mean() <= 1.0
    assert gennape.known_scores().tolist() == sorted(labels[:60])


def test_comes_back_from_its_file_with_everything(gennape, tmp_path):
    graphs = graphs_of(NASBENCH101, 40)
    proxies = {"synflow": numpy.arange(40.0), "jacov": numpy.arange(40.0) ** 2}
    part = {name: column[:30] for name, column in proxies.items()}
    for number in range(2):
        gennape.save(tmp_path / f"{number}.safetensors")
        again = Gennape.load(tmp_path / f"{number}.safetensors")
        given = proxies if number else None
        first, second = gennape.predict(graphs, given), again.predict(graphs, given)
        numpy.testing.assert_array_equal(first.mean, second.mean)
        numpy.testing.assert_array_equal(first.std, second.std)
        gennape.fit(graphs[:30], quality(graphs)[:30].tolist(), part, config=ALL)


def test_networks_unlike_all_others_have_a_larger_uncertainty(gennape):
    known = graphs_of(NASBENCH_MACRO, 30)
    gennape.adapt(known)
    wide = [
        NASBENCH_MACRO.to_graph(NASBENCH_MACRO.sample(random.Random(5)), config)
        for config in (NASBENCH_MACRO.defaults, _with_channels(NASBENCH_MACRO.defaults, 512))
    ]
    usual, strange = gennape.predict(wide).std
    assert usual < 0.2 < strange


def _with_channels(config, channels):
    return replace(config, channels=channels)


def test_proxies_join_by_their_ranks(gennape):
    graphs = graphs_of(NASBENCH101, 30)
    plain = gennape.predict(graphs).mean
    one_sided = gennape.predict(graphs, {name: numpy.arange(30.0) for name in "abcdef"}).mean
    assert numpy.corrcoef(one_sided, numpy.arange(30))[0, 1] > 0.9 > numpy.corrcoef(plain, numpy.arange(30))[0, 1]


@pytest.mark.parametrize(("labels", "message"), [
    ([0.9] * 5, "at least 10 networks and one finite label"),
    ([0.9] * 12, "labels that differ"),
    ([0.9] * 11 + [float("nan")], "one finite label"),
])  # fmt: skip
def test_labels_that_cannot_be_learned_from(gennape, labels, message):
    with pytest.raises(ConfigError, match=message):
        gennape.fit(graphs_of(NASBENCH101, len(labels)), labels)


def test_proxies_other_than_those_of_the_fit(gennape):
    graphs = graphs_of(NASBENCH101, 20)
    gennape.fit(graphs, quality(graphs).tolist(), {"snip": numpy.arange(20.0)}, config=QUICK)
    with pytest.raises(ConfigError, match="proxies: expected snip, as the predictor was fitted with, got none"):
        gennape.predict(graphs)
    with pytest.raises(ConfigError, match="got 1 numbers"):
        gennape.predict(graphs, {"snip": [1.0]})


def _broken(path, change):
    """The file with other values in its header."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    values = json.loads(header["__metadata__"]["values"])
    change(values)
    header["__metadata__"]["values"] = json.dumps(values)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(("change", "message"), [
    (lambda values: values.update(format=99), "expected format 1, got another"),
    (lambda values: values.pop("encoder"), "expected the parts of a GENNAPE predictor"),
    (lambda values: values["encoder"].update(width=3), "expected the parts of a GENNAPE predictor"),
    (lambda values: values["members"].append(["unknown", {}]), "expected the parts of a GENNAPE predictor"),
    (lambda values: values["weights"].pop(), "expected the parts of a GENNAPE predictor"),
])  # fmt: skip
def test_files_that_hold_something_else(gennape, tmp_path, change, message):
    path = tmp_path / "predictor.safetensors"
    gennape.save(path)
    _broken(path, change)
    with pytest.raises(ConfigError, match=message):
        Gennape.load(path)


def test_trees_that_never_end_are_refused(gennape, tmp_path):
    from predictors.gennape.storage import ensemble_state, read_state, save_state

    state = ensemble_state(gennape.ensemble)
    state.tensors["members.forest.left"] = torch.zeros_like(state.tensors["members.forest.left"])
    save_state(tmp_path / "p.safetensors", state)
    assert read_state(tmp_path / "p.safetensors").values["format"] == 1
    with pytest.raises(ConfigError, match="no trees"):
        Gennape.load(tmp_path / "p.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100])
def test_files_that_are_no_predictor(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ConfigError, match="expected a safetensors file that 'nasengine predictor' wrote"):
        Gennape.load(tmp_path / "x.safetensors")


def test_a_fitted_predictor_keeps_its_pool(gennape):
    graphs = graphs_of(NASBENCH101, 20)
    gennape.fit(graphs, quality(graphs).tolist(), config=QUICK)
    with pytest.raises(ConfigError, match="expected a predictor without labels"):
        gennape.adapt(graphs)


@pytest.mark.parametrize(("proxies", "message"), [
    ({"snip": [1.0] * 19}, "got 19 numbers"),
    ({"snip": [1.0] * 21}, "got 21 numbers"),
    ({"snip": [float("nan")] * 20}, "proxy snip: expected one finite number for each network"),
    ({"snip": [1.0] * 20, "zen": [1.0] * 19}, "columns of one length, got 20, 19"),
])  # fmt: skip
def test_proxies_that_do_not_fit(gennape, proxies, message):
    graphs = graphs_of(NASBENCH101, 20)
    with pytest.raises(ConfigError, match=message):
        gennape.fit(graphs, quality(graphs).tolist(), proxies, config=QUICK)


def test_the_shipped_predictor_is_less_sure_of_what_it_does_not_know():
    shipped = Gennape.load_pretrained()
    known = graphs_of(NASBENCH_MACRO, 30)
    unknown = []
    for graph in known:
        kinds = ["other" if operation.kind == "relu" else operation.kind for operation in graph.operations]
        pairs = zip(graph.operations, kinds, strict=True)
        operations = tuple(replace(operation, kind=kind) for operation, kind in pairs)
        unknown.append(replace(graph, operations=operations))
    assert (shipped.predict(unknown).std > shipped.predict(known).std).all()
