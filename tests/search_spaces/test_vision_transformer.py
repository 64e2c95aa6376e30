"""Vision transformers against counts by formula, torch's own encoder layers, and digits."""

import itertools
import json
import math
import random
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from cli import app
from export.onnx import export_onnx
from nasengine.architecture import Architecture
from nasengine.data.digits import load
from nasengine.errors import GenotypeError, GraphError
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.graph import cost
from nasengine.network import GraphNetwork
from nasengine.protocols import NetworkConfig, Resizable, SupportsEnumeration, TrainingRecipe
from nasengine.tracing import graph_from_onnx
from search_spaces.vision_transformer import CHOICES, VISION_TRANSFORMER
from search_spaces.vision_transformer_network import TransformerSizes

DEIT_S = "depth=12,width=384,heads=6,ratio=4,patch=16"
SMALL = "depth=2,width=24,heads=3,ratio=2,patch=4"
DIGITS = NetworkConfig(10, (1, 8, 8))
IMAGENET = NetworkConfig(1000, (3, 224, 224))


def graph_of(text, config=VISION_TRANSFORMER.defaults):
    return VISION_TRANSFORMER.to_graph(VISION_TRANSFORMER.parse(text), config)


def parameters_by_formula(sizes, config):
    """Patches, positions, blocks (two norms, four square matrices, two of the perceptron, biases), norm and head."""
    width, tokens = sizes.width, math.prod(config.image_shape[1:]) // sizes.patch**2
    block = 4 * width + 4 * (width**2 + width) + 2 * sizes.ratio * width**2 + (sizes.ratio + 1) * width
    ends = config.image_shape[0] * sizes.patch**2 * width + width + tokens * width + 2 * width
    return ends + sizes.depth * block + (width + 1) * config.num_classes


def macs_by_formula(sizes, config):
    """Per token: patch, four matrices and the perceptron; scores and mixing take every pair of tokens."""
    width, tokens = sizes.width, math.prod(config.image_shape[1:]) // sizes.patch**2
    block = tokens * (4 + 2 * sizes.ratio) * width**2 + 2 * tokens**2 * width
    return math.prod(config.image_shape) * width + sizes.depth * block + width * config.num_classes


@pytest.mark.parametrize(("depth", "millions"), [(6, 11.40), (9, 16.73), (12, 22.05), (15, 27.37)])
def test_descendants_of_sws_have_the_parameters_of_its_release(depth, millions):
    """384 values and 6 heads at 224 pixels, without a class token (Xia et al., 2024)."""
    graph = graph_of(f"depth={depth},width=384,heads=6,ratio=4,patch=16", IMAGENET)
    assert round(cost(graph).num_parameters / 1e6, 2) == millions


@pytest.mark.parametrize("config", [IMAGENET, VISION_TRANSFORMER.defaults, NetworkConfig(7, (1, 32, 16))])
def test_costs_by_formula(config):
    rng = random.Random(0)
    for architecture in [VISION_TRANSFORMER.parse(DEIT_S), *(VISION_TRANSFORMER.sample(rng) for _ in range(20))]:
        graph = VISION_TRANSFORMER.to_graph(architecture, config)
        assert cost(graph).num_parameters == parameters_by_formula(architecture.genotype, config)
        assert cost(graph).macs == macs_by_formula(architecture.genotype, config)


def test_blocks_have_the_same_operations_under_the_same_names():
    graph = graph_of("depth=5,width=64,heads=4,ratio=2,patch=8")
    graph.check()
    blocks, others = {}, set()
    for name, operation in zip(graph.names, graph.operations, strict=True):
        first, _, rest = name.partition("/")
        if first == "blocks":
            index, _, local = rest.partition("/")
            blocks.setdefault(index, {})[local] = operation
            assert not any(part.isdigit() for part in local.split("/"))
        else:
            others.add(first)
    assert list(blocks) == ["0", "1", "2", "3", "4"]
    assert all(list(block.items()) == list(blocks["0"].items()) for block in blocks.values())
    assert others == {"input", "patches", "positions", "head"}


def torch_layer(nodes, block, heads):
    """torch's encoder layer with the weights of one of our blocks."""
    width = nodes[f"{block}/norm1"].weight.numel()
    layer = nn.TransformerEncoderLayer(
        width, heads, nodes[f"{block}/mlp/hidden"].out_features, 0.0, "gelu", batch_first=True, norm_first=True
    )
    parts = [nodes[f"{block}/attention/{part}"] for part in ("query", "key", "value")]
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        layer.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    layer.self_attn.out_proj.load_state_dict(nodes[f"{block}/attention/projection"].state_dict())
    for ours, theirs in [
        ("norm1", "norm1"),
        ("norm2", "norm2"),
        ("mlp/hidden", "linear1"),
        ("mlp/projection", "linear2"),
    ]:
        getattr(layer, theirs).load_state_dict(nodes[f"{block}/{ours}"].state_dict())
    return layer


def test_computes_what_torchs_encoder_layers_do():
    network = GraphNetwork(graph_of(SMALL), seed=3)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():  # norms, biases and positions too
            weight.add_(torch.randn(weight.shape, generator=generator), alpha=0.1)
    images, nodes = torch.randn(2, 3, 32, 32, generator=generator), network.nodes
    squares = images.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).reshape(2, 64, 48)
    patches = nodes["patches/conv"]
    tokens = squares @ patches.weight.reshape(24, 48).T + patches.bias + nodes["positions"].value
    for block in ("blocks/0", "blocks/1"):
        tokens = torch_layer(nodes, block, heads=3)(tokens)
    expected = nodes["head/classifier"](nodes["head/norm"](tokens).mean(1))
    torch.testing.assert_close(network(images), expected, atol=1e-5, rtol=1e-5)


def test_size_is_the_number_of_different_architectures():
    heads_by_width = {width: sum(width % heads == 0 for heads in (2, 3, 4, 6, 8, 12)) for width in CHOICES["width"]}
    assert heads_by_width == {64: 3, 96: 6, 128: 3, 192: 6, 256: 3, 384: 6}
    assert isinstance(VISION_TRANSFORMER, SupportsEnumeration)
    found = set(VISION_TRANSFORMER.enumerate())
    assert len(found) == VISION_TRANSFORMER.size == 16 * 27 * 2 * 4
    assert {VISION_TRANSFORMER.sample(random.Random(seed)) for seed in range(50)} <= found


def test_mutations_change_one_size_and_reach_every_choice():
    rng, seen = random.Random(0), set()
    architecture = VISION_TRANSFORMER.sample(rng)
    for _ in range(500):
        child = VISION_TRANSFORMER.mutate(architecture, rng)
        before, after = asdict(architecture.genotype).items(), asdict(child.genotype).items()
        assert len(after - before) == 1
        seen |= set(after)
        architecture = child
    assert seen == {(name, choice) for name, choices in CHOICES.items() for choice in choices}


def test_sizes_outside_the_choices_can_be_mutated():
    architecture = VISION_TRANSFORMER.parse("depth=40,width=50,heads=2,ratio=4,patch=4")
    children = [VISION_TRANSFORMER.mutate(architecture, random.Random(seed)).genotype for seed in range(100)]
    assert {child.width for child in children} == {50, *CHOICES["width"]}
    assert {child.heads for child in children} == {2}  # no other number of heads divides 50


def test_children_have_sizes_of_their_parents():
    rng = random.Random(0)
    for _ in range(100):
        parents = VISION_TRANSFORMER.sample(rng), VISION_TRANSFORMER.sample(rng)
        child = VISION_TRANSFORMER.crossover(*parents, rng)
        VISION_TRANSFORMER.validate(child)
        assert set(asdict(child.genotype).items()) <= {
            size for parent in parents for size in asdict(parent.genotype).items()
        }


def test_order_and_spaces_of_a_text_mean_nothing():
    text = "patch=4, heads = 3,depth=12 ,ratio=4,width=192"
    found = VISION_TRANSFORMER.parse(text)
    assert found.genotype == TransformerSizes(depth=12, width=192, heads=3, ratio=4, patch=4)
    assert VISION_TRANSFORMER.format(found) == "depth=12,width=192,heads=3,ratio=4,patch=4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected depth, width, heads, ratio, patch, each once, such as depth=12,.*, got ''"),
        ("depth=12,width=192,heads=3,ratio=4", "each once"),
        (f"{SMALL},depth=3", "each once"),
        (SMALL.replace("ratio", "rate"), "each once"),
        (SMALL.replace("depth=2", "depth"), "depth: expected a whole number, got ''"),
        (SMALL.replace("depth=2", "depth=two"), "depth: expected a whole number, got 'two'"),
        (SMALL.replace("depth=2", "depth=-2"), "depth: expected a whole number, got '-2'"),
        (SMALL.replace("depth=2", "depth=²"), "depth: expected a whole number, got '²'"),
        (SMALL.replace("depth=2", "depth=" + "9" * 5000), "depth: expected a whole number, got '9999"),
        (SMALL.replace("depth=2", "depth=0"), "depth: expected a whole number from 1 to 64, got 0"),
        (SMALL.replace("depth=2", "depth=65"), "depth: expected a whole number from 1 to 64, got 65"),
        (SMALL.replace("width=24", "width=1026"), "width: expected a whole number from 1 to 1024, got 1026"),
        (SMALL.replace("width=24", "width=25"), "width: expected a multiple of its 3 heads, got 25"),
        (SMALL.replace("heads=3", "heads=5"), "heads: expected one of 2, 3, 4, 6, 8, 12, got 5"),
        (SMALL.replace("ratio=2", "ratio=3"), "ratio: expected one of 2, 4, got 3"),
        (SMALL.replace("patch=4", "patch=7"), "patch: expected one of 2, 4, 8, 16, got 7"),
    ],
)
def test_wrong_texts(text, message):
    with pytest.raises(GenotypeError, match="^vision_transformer genotype[:,] .*" + message):
        VISION_TRANSFORMER.parse(text)


@pytest.mark.parametrize(
    ("genotype", "message"),
    [
        ((12, 192, 3, 4, 4), "expected sizes such as depth=12,.*, got .12, 192"),
        (TransformerSizes(True, 24, 3, 2, 4), "depth: expected a whole number from 1 to 64, got True"),
        (TransformerSizes(2, 24, 3, True, 4), "ratio: expected one of 2, 4, got True"),
    ],
)
def test_wrong_values(genotype, message):
    with pytest.raises(GenotypeError, match=message):
        VISION_TRANSFORMER.validate(Architecture("vision_transformer", genotype))


@pytest.mark.parametrize("image_shape", [(1, 8, 12), (1, 12, 8)])
def test_patches_have_to_divide_the_images(image_shape):
    sizes = f"sides are multiples of 8 pixels, got {image_shape[1]}x{image_shape[2]}"
    with pytest.raises(GraphError, match=f"patch=8: expected images whose {sizes}"):
        graph_of(SMALL.replace("patch=4", "patch=8"), replace(DIGITS, image_shape=image_shape))


def test_other_depths_and_widths_keep_all_else():
    assert isinstance(VISION_TRANSFORMER, Resizable)
    architecture = VISION_TRANSFORMER.parse(DEIT_S)
    for depth, width in itertools.product((None, 1, 16, 64), (None, 6, 96, 768)):
        found, config = VISION_TRANSFORMER.resized(architecture, IMAGENET, depth=depth, width=width)
        assert found.genotype == TransformerSizes(depth or 12, width or 384, heads=6, ratio=4, patch=16)
        assert config is IMAGENET
    with pytest.raises(GenotypeError, match="width: expected a multiple of its 6 heads, got 128"):
        VISION_TRANSFORMER.resized(architecture, IMAGENET, width=128)
    with pytest.raises(GenotypeError, match="depth: expected a whole number from 1 to 64, got 65"):
        VISION_TRANSFORMER.resized(architecture, IMAGENET, depth=65)


def test_digits_are_learned():
    digits = load()
    network = GraphNetwork(graph_of("depth=2,width=32,heads=4,ratio=2,patch=2", DIGITS), seed=0)
    recipe = TrainingRecipe(epochs=10, batch_size=24, learning_rate=0.1, nesterov=True)
    training = NetworkTraining("small", network, digits, recipe, seed=0, split=digits.train)
    losses = [training.run_step(step)["loss"] for step in range(recipe.epochs)]
    assert losses[-1] < losses[0] / 2
    assert accuracy(network, digits.test, digits) > 0.6


def test_exported_files_agree_and_come_back_with_the_same_costs(tmp_path):
    graph = graph_of("depth=2,width=32,heads=4,ratio=2,patch=2", DIGITS)
    images = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    report = export_onnx(GraphNetwork(graph, seed=0), images, tmp_path / "net.onnx", {})
    assert report.max_deviation < 1e-4
    assert report.top1_agreement == 1.0
    read = graph_from_onnx(tmp_path / "net.onnx")
    assert (cost(read).macs, cost(read).num_parameters) == (cost(graph).macs, cost(graph).num_parameters)


def test_the_shipped_predictor_scores_it():
    texts = ("depth=12,width=192,heads=3,ratio=4,patch=4", "depth=5,width=64,heads=2,ratio=2,patch=16")
    command = ["score", *texts, "--space", "vision_transformer", "--compare-with", "20", "--json"]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    large, small = json.loads(answer.stdout)["networks"]
    assert 0 <= small["score"] < large["score"] <= 1
    assert large["num_parameters"] == cost(graph_of(texts[0])).num_parameters
