"""Adapters of low rank, attached, trained, merged and stored."""

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load, save

from export.onnx import export_onnx
from nasengine.data.digits import load as load_digits
from nasengine.errors import ConfigError, DataError
from nasengine.evaluation import NetworkTraining
from nasengine.graph import GraphBuilder
from nasengine.initialization.adapters import (
    AdapterConfig,
    adapter_parameters,
    adapter_state,
    attach_adapters,
    load_adapters,
    merge_adapters,
)
from nasengine.initialization.adapters.layers import FrozenNorm
from nasengine.network import GraphNetwork
from nasengine.protocols import TrainingRecipe
from nasengine.testing import small_config
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201
from tests.initialization.networks_to_adapt import (
    CELL,
    DARTS_TEXT,
    KINDS,
    NETWORKS,
    adapt,
    conv_network,
    darts_network,
    labelled,
    linear_network,
    nasbench201_network,
    random_images,
    train,
)

# --- what the network computes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_the_first_forward_pass_is_unchanged(name, kind):
    network, images = NETWORKS[name]().eval(), random_images(6, seed=7)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    adapted = adapt(network, kind).network
    torch.testing.assert_close(adapted(images), network(images), rtol=0, atol=1e-5)
    torch.testing.assert_close(adapted.train()(images), network(images), rtol=0, atol=1e-5)  # frozen norms
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert all(weight.requires_grad for weight in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_merged_is_adapted_after_training(name, kind):
    network, images = NETWORKS[name](), random_images(12, seed=7)
    adapted = adapt(network, kind).network
    train(adapted, images)
    expected = adapted.eval()(images)
    assert not torch.allclose(expected, network.eval()(images), atol=1e-3)
    merged = merge_adapters(adapted)
    torch.testing.assert_close(merged(images), expected, rtol=0, atol=1e-5)
    assert torch.equal(adapted(images), expected)
    assert list(merged.state_dict()) == list(network.state_dict())
    assert [type(part) for part in merged.modules()] == [type(part) for part in network.modules()]
    assert merged.graph == network.graph
    assert all(weight.requires_grad for weight in merged.parameters())


def test_only_adapters_are_trained():
    network = darts_network()
    adapted = adapt(network, "eva").network
    before = copy.deepcopy(adapted.state_dict())
    train(adapted, random_images(12, seed=7))
    moved = {key for key, value in adapted.state_dict().items() if not torch.equal(before[key], value)}
    graded = {key for key, weight in adapted.named_parameters() if weight.grad is not None}
    factors = {key for key, _ in adapted.named_parameters() if key.endswith((".a", ".b"))}
    assert moved == graded == factors
    assert len(factors) == 2 * len(adapt(network, "eva").ranks)
    assert len(adapter_parameters(adapted)) == len(factors)


def test_the_engines_training_fine_tunes_adapters_and_resumes():
    digits = load_digits()
    config = replace(small_config(NASBENCH201), cells=1, image_shape=(1, 8, 8), num_classes=10)
    network = GraphNetwork(NASBENCH201.to_graph(NASBENCH201.parse(CELL), config), 0)
    start = attach_adapters(network, AdapterConfig(initialization="pissa", train_classifier=True)).network
    recipe = TrainingRecipe(epochs=2, batch_size=128, learning_rate=0.1)
    training = NetworkTraining("adapted", copy.deepcopy(start), digits, recipe, seed=0)
    first = training.run_step(0)
    state = copy.deepcopy(training.state())
    second = training.run_step(1)
    assert second["loss"] < first["loss"]
    again = NetworkTraining("adapted", copy.deepcopy(start), digits, recipe, seed=0)
    again.load_state(state)
    assert again.run_step(1) == second


def test_half_precision_layers_do_not_round_what_pissa_took_out():
    network, images = nasbench201_network().eval(), random_images(8)
    adapted = adapt(network, "pissa").network
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        expected, got = network(images), adapted(images)
    assert expected.dtype == torch.bfloat16
    torch.testing.assert_close(got, expected, rtol=0.02, atol=0.02)


def test_merged_networks_are_exported(tmp_path: Path):
    adapted = adapt(nasbench201_network(), "pissa").network
    train(adapted, random_images(12, seed=7))
    report = export_onnx(merge_adapters(adapted), random_images(8), tmp_path / "merged.onnx", {})
    assert report.max_deviation < 1e-4


# --- classifiers and norms ------------------------------------------------------------------------------------------


def test_a_new_task_gets_a_new_classifier():
    network = darts_network()
    result = adapt(network, "eva", num_classes=7)
    assert result.network(random_images(2)).shape == (2, 7)
    assert "head/classifier" not in result.ranks
    before = copy.deepcopy(result.network.state_dict())
    train(result.network, random_images(12))
    moved = {key for key, value in result.network.state_dict().items() if not torch.equal(before[key], value)}
    assert {"nodes.head/classifier.weight", "nodes.head/classifier.bias"} <= moved
    merged = merge_adapters(result.network)
    assert merged.graph.operations[merged.graph.outputs[0]].output_shape == (7,)
    assert network(random_images(2)).shape == (2, 5)


def test_auxiliary_classifiers_are_replaced_as_well():
    config = replace(small_config(DARTS), image_shape=(3, 32, 32), auxiliary_head=True)
    network = GraphNetwork(DARTS.to_graph(DARTS.parse(DARTS_TEXT), config), 0)
    adapted = attach_adapters(network, AdapterConfig(initialization="pissa", num_classes=3)).network
    trained = {name for name, weight in adapted.named_parameters() if weight.requires_grad and ".weight" in name}
    assert trained == {"nodes.head/classifier.weight", "nodes.auxiliary/classifier.weight"}
    assert [output.shape for output in adapted(random_images(2, (3, 32, 32)))] == [(2, 3), (2, 3)]


def test_norms_can_be_trained():
    frozen, trained = (adapt(nasbench201_network(), "random", train_norms=flag).network for flag in (False, True))
    assert any(isinstance(part, FrozenNorm) for part in frozen.modules())
    before = copy.deepcopy(trained.state_dict())
    train(trained, random_images(12))
    moved = {key for key, value in trained.state_dict().items() if not torch.equal(before[key], value)}
    assert {"nodes.stem/norm.weight", "nodes.stem/norm.running_mean"} <= moved
    assert len(adapter_parameters(trained)) > len(adapter_parameters(frozen))


# --- storage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"num_classes": 7, "train_norms": True}], ids=["plain", "head and norms"])
@pytest.mark.parametrize("kind", KINDS)
def test_stored_adapters_come_back(kind, options):
    network, images = nasbench201_network(), random_images(12, seed=7)
    adapted = adapt(network, kind, **options).network
    train(adapted, images)
    content = save(adapter_state(adapted))
    restored = load_adapters(network, load(content))
    assert {key for key, weight in restored.named_parameters() if weight.requires_grad} == {
        key for key, weight in adapted.named_parameters() if weight.requires_grad
    }
    torch.testing.assert_close(restored.eval()(images), adapted.eval()(images), rtol=0, atol=1e-5)
    assert save(adapter_state(restored)) == content


def test_stored_adapters_are_small():
    adapted = adapt(darts_network(), "eva", rank=1, rho=1.0).network
    stored = sum(value.numel() for value in adapter_state(adapted).values())
    assert stored == sum(weight.numel() for weight in adapter_parameters(adapted))
    assert stored < sum(weight.numel() for weight in darts_network().parameters())


def test_adapters_of_another_network_are_refused():
    state = adapter_state(adapt(nasbench201_network(), "pissa").network)
    with pytest.raises(
        ConfigError, match="adapters of stem/norm: expected a convolution or linear layer, got BatchNorm"
    ):
        load_adapters(nasbench201_network(), state | {"stem/norm.a": torch.zeros(1, 2, 4)})
    with pytest.raises(ConfigError, match="adapters of stem/conv: expected a layer of this network, got a name"):
        load_adapters(linear_network(), state)
    del state["stem/conv.initial_a"]
    with pytest.raises(ConfigError, match="adapters of stem/conv: expected tensors of shapes"):
        load_adapters(nasbench201_network(), state)
    with pytest.raises(ConfigError, match="expected tensors named a and b of at least one layer, got none"):
        load_adapters(nasbench201_network(), {})


# --- faults ---------------------------------------------------------------------------------------------------------


def test_bad_settings_are_listed_at_once():
    with pytest.raises(ConfigError) as caught:
        AdapterConfig(rank=0, layers=[], rho=0.5, tau=float("nan"), samples_per_batch=0, num_classes=0)
    assert [fault.split(":")[0] for fault in caught.value.faults] == [
        f"adapters, {name}" for name in ("rank", "samples_per_batch", "num_classes", "layers", "rho", "tau")
    ]


def test_settings_that_do_not_fit_the_network():
    network = linear_network()
    with pytest.raises(ConfigError, match="expected patterns of frozen layers such as hidden, head, got 'stem'"):
        adapt(network, "random", layers=["stem"])
    with pytest.raises(ConfigError, match="patterns of frozen layers such as hidden, got 'head'"):
        adapt(network, "random", layers=["head"], train_classifier=True)
    with pytest.raises(ConfigError, match="expected a network without them, got one that has some; merge them first"):
        adapt(adapt(network, "random").network, "random")
    with pytest.raises(ConfigError, match="got none \\(conv: its matrix of 1 x 9 has no lower rank"):
        adapt(conv_network(groups=4, channels=4), "pissa", layers=["conv"])
    for function in (adapter_parameters, adapter_state, merge_adapters):
        with pytest.raises(ConfigError, match="expected a network that has some, got one without"):
            function(network)


def test_networks_without_a_linear_output_keep_their_classes():
    builder = GraphBuilder()
    conv = builder.add("conv", builder.input((3, 16, 16)), name="conv", channels=4, kernel=3)
    network = GraphNetwork(builder.build(conv), 0)
    with pytest.raises(ConfigError, match="whose outputs are linear layers, got conv conv; leave num_classes"):
        adapt(network, "random", num_classes=3)
    assert adapt(network, "random").ranks == {"conv": 2}


def test_eva_needs_images_that_are_finite():
    with pytest.raises(DataError, match="expected batches of images for initialization eva, got none"):
        attach_adapters(linear_network(), AdapterConfig())
    with pytest.raises(DataError, match="layer hidden: expected finite inputs"):
        attach_adapters(linear_network(), AdapterConfig(), labelled(random_images(4) / 0))


def test_layers_whose_inputs_are_zero_get_no_adapter():
    network = linear_network()
    with torch.no_grad():
        network.nodes["hidden"].bias.fill_(-1e6)  # nothing passes the ReLU
    result = adapt(network, "eva")
    assert result.skipped == {"head": "its inputs are never used or 0"}
    assert list(result.ranks) == ["hidden"]
