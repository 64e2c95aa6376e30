"""Candidate operations against modules written out by hand."""

import pytest
import torch
from torch import nn

from nasengine.errors import UnknownNameError
from nasengine.network import GraphNetwork
from nasengine.operations.candidates import CANDIDATES, Placement, candidate_body

SHAPE = (4, 8, 8)


def written_out(name: str, stride: int) -> nn.Module:
    """The operations of the DARTS paper as plain torch modules, with affine batch norms."""

    def block(kernel: int, stride: int, dilation: int) -> list[nn.Module]:
        padding = dilation * (kernel - 1) // 2
        return [
            nn.ReLU(),
            nn.Conv2d(4, 4, kernel, stride, padding, dilation, groups=4, bias=False),
            nn.Conv2d(4, 4, 1, bias=False),
            nn.BatchNorm2d(4),
        ]

    size = int(name[-1])
    if name.startswith("sep"):
        return nn.Sequential(*block(size, stride, 1), *block(size, 1, 1))
    if name.startswith("dil"):
        return nn.Sequential(*block(size, stride, 2))
    if name.startswith("nor"):
        return nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, size, stride, size // 2, bias=False), nn.BatchNorm2d(4))
    if name.startswith("max"):
        return nn.MaxPool2d(3, stride, 1)
    return nn.AvgPool2d(3, stride, 1, count_include_pad=False)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", [name for name in CANDIDATES if name[-1].isdigit()])
def test_computes_what_the_paper_says(name, stride):
    network = GraphNetwork(candidate_body(name, Placement(SHAPE, 4, stride)), seed=1)
    reference = written_out(name, stride)
    reference.load_state_dict(dict(zip(reference.state_dict(), network.state_dict().values(), strict=True)))
    image = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(image), reference(image), rtol=1e-5, atol=1e-6)


def test_factorized_reduce_sees_pixels_of_equal_parity():
    network = GraphNetwork(candidate_body("skip_connect", Placement(SHAPE, 8, 2)), seed=1).eval()
    image = torch.rand(1, *SHAPE).requires_grad_()
    (gradient,) = torch.autograd.grad(network(image).abs().sum(), image)
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    assert torch.equal((gradient != 0)[0, 0], (rows - columns) % 2 == 0)


def test_skip_none_and_noise():
    image = torch.rand(2, *SHAPE)
    assert torch.equal(GraphNetwork(candidate_body("skip_connect", Placement(SHAPE, 4)))(image), image)
    assert torch.equal(GraphNetwork(candidate_body("none", Placement(SHAPE, 6, 2)))(image), torch.zeros(2, 6, 4, 4))
    noise = GraphNetwork(candidate_body("noise", Placement(SHAPE, 4)))
    torch.manual_seed(0)
    assert noise(image).std().item() == pytest.approx(1.0, abs=0.1)
    assert not torch.equal(noise(image), noise(image))
    assert torch.equal(noise.eval()(image), torch.zeros_like(image))


def test_searching_has_norms_without_scale_and_after_pools():
    body = candidate_body("max_pool_3x3", Placement(SHAPE, 4, affine=False, pool_norm=True))
    assert [operation.kind for operation in body.operations] == ["input", "max_pool", "batch_norm"]
    assert sum(weight.numel() for weight in GraphNetwork(body).parameters()) == 0


def test_unknown_operations_are_named():
    with pytest.raises(UnknownNameError, match="operation 'sep_conv_4x4' is unknown.*did you mean"):
        candidate_body("sep_conv_4x4", Placement(SHAPE, 4))
