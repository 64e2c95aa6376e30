"""What a supernet computes, against sums that are written out."""

import copy
import random
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from nasengine.errors import ConfigError
from nasengine.graph.passes import merge_duplicates
from nasengine.operations.primitives import make_function
from nasengine.protocols import NetworkConfig
from nasengine.supernet import ArchitectureWeights, Mixture, Supernet
from nasengine.testing import small_config
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201

IMAGES = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def textbook(supernet: Supernet, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """The mixed operation as the DARTS paper prints it: every candidate of every edge, multiplied and added."""
    graph = supernet.space.supergraph(supernet.config).resolve(supernet.allowed, keep_mixes=True)
    modules = dict(supernet.nodes)
    values: list[Tensor] = []
    for operation, sources, name in zip(graph.operations, graph.inputs, graph.names, strict=True):
        parts = [values[source] for source in sources]
        if operation.kind == "input":
            values.append(x)
        elif operation.kind == "mix":
            kind, edge = operation.attribute("choice")
            picks = operation.attribute("candidates")
            values.append(sum(weights[kind][edge][pick] * part for pick, part in zip(picks, parts, strict=True)))
        elif name in modules:
            values.append(modules[name](*parts))
        else:
            values.append(make_function(operation)(*parts))
    return values[graph.outputs[0]]


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_mixture_is_the_textbook_sum(space):
    config = replace(small_config(space), image_shape=(1, 8, 8), searching=True)
    supernet = Supernet(space, config, seed=0)
    weights = ArchitectureWeights(space.topology, seed=3).mean()
    expected = textbook(copy.deepcopy(supernet), IMAGES, weights)
    torch.testing.assert_close(supernet(IMAGES, Mixture(weights)), expected, rtol=1e-4, atol=1e-5)


def test_gradients_of_architecture_weights_are_finite_differences(supernet, alphas):
    supernet, alphas = supernet.double(), alphas.double()
    images = IMAGES.double()

    def loss() -> Tensor:
        return supernet(images, alphas.mixture()).square().sum()

    (gradient,) = torch.autograd.grad(loss(), list(alphas.parameters()))
    alpha = next(iter(alphas.parameters()))
    for place in ((0, 1), (3, 4), (5, 0)):
        sides = []
        for step in (1e-6, -1e-6):
            with torch.no_grad():
                alpha[place] += step
                sides.append(loss())
                alpha[place] -= step
        assert gradient[place].item() == pytest.approx(((sides[0] - sides[1]) / 2e-6).item(), rel=1e-4, abs=1e-6)


def test_one_hot_mixture_equals_the_architecture(supernet, space):
    supernet.eval()
    architecture = space.sample(random.Random(4))
    rows = torch.zeros(6, 5)
    for (_, edge), (pick,) in space.selection(architecture).items():
        rows[edge, pick] = 1.0
    torch.testing.assert_close(supernet(IMAGES, Mixture({"cell": rows})), supernet(IMAGES, architecture))


def test_inactive_candidates_are_not_computed(supernet, space):
    supernet.train()
    architecture = space.parse("|nor_conv_1x1~0|+|none~0|none~1|+|none~0|skip_connect~1|none~2|")
    supernet(IMAGES, architecture)
    touched = {name for name, buffer in supernet.named_buffers() if name.endswith("running_mean") and buffer.any()}
    assert any("edge0/nor_conv_1x1" in name for name in touched)
    assert not any("nor_conv_3x3" in name or "edge3" in name for name in touched)


def test_masks_average_what_they_leave(supernet, space):
    supernet.eval()
    mask = {("cell", edge): (2, 3) if edge == 0 else (1,) for edge in range(6)}
    weights = torch.zeros(6, 5)
    weights[:, 1] = 1.0
    weights[0] = torch.tensor([0.0, 0.0, 0.5, 0.5, 0.0])
    expected = supernet(IMAGES, Mixture({"cell": weights}))
    torch.testing.assert_close(supernet(IMAGES, mask), expected, rtol=1e-5, atol=1e-6)


def test_restriction_is_a_smaller_copy_that_computes_the_same(supernet, space):
    supernet.eval()
    allowed = {("cell", edge): (1, 3) for edge in range(6)}
    smaller = supernet.restrict(allowed)
    inside = space.parse(
        "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|nor_conv_3x3~2|"
    )
    outside = space.parse(
        "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_3x3~1|+|skip_connect~0|skip_connect~1|nor_conv_3x3~2|"
    )
    assert torch.equal(smaller(IMAGES, inside), supernet(IMAGES, inside))
    assert torch.equal(smaller.extract(inside)(IMAGES), supernet(IMAGES, inside))
    assert sum(w.numel() for w in smaller.parameters()) < sum(w.numel() for w in supernet.parameters())
    with pytest.raises(ConfigError, match=r"expected candidates among \(1, 3\), got \[2\]"):
        smaller(IMAGES, outside)
    with pytest.raises(ConfigError, match="expected an architecture inside its restriction"):
        smaller.extract(outside)
    next(smaller.parameters()).data.add_(1)
    assert torch.equal(smaller.restrict(allowed)(IMAGES, inside), smaller(IMAGES, inside))
    assert not torch.equal(smaller(IMAGES, inside), supernet(IMAGES, inside))


def test_dropping_all_edges_into_a_node_is_an_error(supernet):
    for dropped in ((0,), (3, 4, 5)):
        with pytest.raises(ConfigError, match=f"edge{dropped[0]}: expected a candidate, since no other edge"):
            supernet(IMAGES, {("cell", edge): () if edge in dropped else (1,) for edge in range(6)})


def test_shared_work_is_merged(supernet):
    whole = supernet.space.supergraph(supernet.config).resolve(supernet.allowed, keep_mixes=True)
    assert len(supernet.graph) == len(merge_duplicates(whole)) < len(whole)


def test_candidate_parameters_belong_to_one_edge(supernet):
    names = supernet.candidate_parameters(("cell", 2))
    assert names
    assert all("/edge2/" in name for name in names)
    total = {name for edge in range(6) for name in supernet.candidate_parameters(("cell", edge))}
    assert {name for name, _ in supernet.named_parameters()} - total == {
        name for name, _ in supernet.named_parameters() if "edge" not in name
    }


def test_plans_are_bounded_and_copies_are_independent(supernet, space):
    supernet.max_plans = 3
    for seed in range(6):
        supernet(IMAGES, space.sample(random.Random(seed)))
    assert len(supernet._plans) == 3
    twin = copy.deepcopy(supernet)
    next(twin.parameters()).data.add_(1.0)
    assert not torch.equal(next(twin.parameters()), next(supernet.parameters()))


def test_architecture_weights_of_edges_with_fewer_candidates():
    from nasengine.cells import CellTopology

    alphas = ArchitectureWeights(CellTopology(1, 2, {"cell": (("none",), ("none", "skip_connect"), ("none",))}))
    rows = alphas.mean()["cell"]
    assert rows[0].tolist() == [1.0, 0.0]
    assert rows.sum(1).tolist() == pytest.approx([1.0, 1.0, 1.0])


def test_seed_decides_the_weights(space):
    config = NetworkConfig(4, (1, 8, 8), 4, 1, searching=True)
    first, second, third = (Supernet(space, config, seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], third[name]) for name in first)


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_images_keep_one_memory_layout_throughout(space):
    """One tensor in another layout turns all that it is added to, and convolutions become several times slower."""
    config = NetworkConfig(4, (3, 16, 16), channels=4, cells=6 if space is DARTS else 1, searching=True)
    supernet = Supernet(space, config, seed=0)
    others = []

    def watched(function, name):
        def call(*inputs):
            output = function(*inputs)
            if output.ndim == 4 and not output.is_contiguous(memory_format=torch.channels_last):
                others.append(name)
            return output

        return call

    pairs = zip(supernet._fused_functions, supernet.graph.names, strict=True)
    supernet._fused_functions = [watched(function, name) for function, name in pairs]
    supernet(torch.randn(8, 3, 16, 16), ArchitectureWeights(space.topology).mixture())
    assert [name for name in others if not name.endswith("/shift")] == []  # a shifted image is a view of another


def test_candidates_that_are_always_zero_are_neither_computed_nor_needed(supernet, space):
    supernet.eval()
    alphas = ArchitectureWeights(space.topology, seed=2)
    active = {("cell", edge): (1, 2, 3, 4) for edge in range(6)}
    with_none = supernet(IMAGES, alphas.mixture())
    assert torch.equal(with_none, supernet(IMAGES, alphas.mixture(active=active)))
    with_none.sum().backward()
    assert alphas.alpha["cell"].grad[:, 0].abs().sum() > 0  # through the softmax
    only = {**active, ("cell", 5): (0,)}
    assert torch.isfinite(supernet(IMAGES, alphas.mixture(active=only))).all()
