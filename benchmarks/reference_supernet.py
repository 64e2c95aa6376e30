"""A textbook supernet of cells: every operation of every edge, one after the other, summed with weights, NCHW.

Written from the papers' descriptions, apart from the engine's own code, as the yardstick for speed and memory. It has
the same weights under other names: ``copy_weights`` takes those of a supernet of ours.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nasengine.cells.topology import CellTopology
from nasengine.supernet import Supernet

Weights = dict[str, Tensor]


class ReluConvNorm(nn.Module):
    """ReLU, convolution, batch norm."""

    def __init__(self, source: int, target: int, kernel: int, stride: int = 1, affine: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(source, target, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(target, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(F.relu(x)))


class Depthwise(nn.Module):
    """ReLU, depthwise and pointwise convolution, batch norm."""

    def __init__(self, channels: int, kernel: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.depthwise = nn.Conv2d(
            channels, channels, kernel, stride, padding, dilation=dilation, groups=channels, bias=False
        )
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pointwise(self.depthwise(F.relu(x))))


class FactorizedReduce(nn.Module):
    """Two strided 1x1 convolutions, one of them on the image shifted by a pixel."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.conv_even = nn.Conv2d(source, target // 2, 1, 2, bias=False)
        self.conv_odd = nn.Conv2d(source, target - target // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(target, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return self.norm(torch.cat([self.conv_even(x), self.conv_odd(x[:, :, 1:, 1:])], 1))


class Pool(nn.Module):
    """A pool, and in the DARTS spaces a batch norm."""

    def __init__(self, kind: str, channels: int, stride: int, norm: bool) -> None:
        super().__init__()
        self.pool: nn.Module = (
            nn.MaxPool2d(3, stride, 1) if kind == "max" else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        )
        self.norm = nn.BatchNorm2d(channels, affine=False) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.pool(x))


class Zero(nn.Module):
    """The operation ``none``."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, :: self.stride, :: self.stride] * 0.0


def make_operation(name: str, channels: int, stride: int, pool_norm: bool) -> nn.Module:
    """An operation of DARTS or NAS-Bench-201."""
    if name == "none":
        return Zero(stride)
    if name == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    if name.endswith("_pool_3x3"):
        return Pool(name[:3], channels, stride, pool_norm)
    kernel = int(name[-1])
    if name.startswith("sep_conv"):
        return nn.Sequential(Depthwise(channels, kernel, stride), Depthwise(channels, kernel, 1))
    if name.startswith("dil_conv"):
        return Depthwise(channels, kernel, stride, dilation=2)
    return ReluConvNorm(channels, channels, kernel)


class Cell(nn.Module):
    """All operations on all edges of a cell."""

    def __init__(self, topology: CellTopology, kind: str, channels: int, concat: bool) -> None:
        super().__init__()
        self.topology, self.kind, self.concat = topology, kind, concat
        self.edges = nn.ModuleList()
        for (source, _), names in zip(topology.edges, topology.candidates[kind], strict=True):
            stride = 2 if kind == "reduce" and source < topology.num_inputs else 1
            self.edges.append(nn.ModuleList(make_operation(name, channels, stride, concat) for name in names))

    def forward(self, states: list[Tensor], weights: Tensor) -> Tensor:
        for target in self.topology.targets:
            mixed = [
                self._mixed(self.topology.edge_index(source, target), states[source], weights)
                for source in range(target)
            ]
            states = [*states, sum(mixed[1:], mixed[0])]
        return torch.cat(states[self.topology.num_inputs :], 1) if self.concat else states[-1]

    def _mixed(self, index: int, x: Tensor, weights: Tensor) -> Tensor:
        """The weighted sum of all operations of an edge."""
        products = [
            weights[index, place] * operation(x) for place, operation in enumerate(self.edges[index].children())
        ]
        return sum(products[1:], products[0])


class ReferenceDarts(nn.Module):
    """The supernet of DARTS: cells read the two cells before them."""

    def __init__(self, topology: CellTopology, channels: int, cells: int, classes: int, image_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, 3 * channels, 3, padding=1, bias=False), nn.BatchNorm2d(3 * channels)
        )
        self.layers = nn.ModuleList()
        older, newer, width, was_reduction = 3 * channels, 3 * channels, channels, False
        for index in range(cells):
            is_reduction = index in (cells // 3, 2 * cells // 3)
            width *= 2 if is_reduction else 1
            first = FactorizedReduce(older, width) if was_reduction else ReluConvNorm(older, width, 1)
            cell = Cell(topology, "reduce" if is_reduction else "normal", width, concat=True)
            self.layers.append(nn.ModuleList([first, ReluConvNorm(newer, width, 1), cell]))
            older, newer, was_reduction = newer, topology.num_nodes * width, is_reduction
        self.classifier = nn.Linear(newer, classes)

    def forward(self, x: Tensor, weights: Weights) -> Tensor:
        older = newer = self.stem(x)
        for layer in self.layers:
            first, second, cell = layer.children()
            states = [first(older), second(newer)]
            older, newer = newer, cell(states, weights[str(cell.kind)])
        return self.classifier(newer.mean((2, 3)))


class Residual(nn.Module):
    """The block of stride 2 between stages of NAS-Bench-201."""

    def __init__(self, source: int, target: int) -> None:
        super().__init__()
        self.first = ReluConvNorm(source, target, 3, 2, affine=True)
        self.second = ReluConvNorm(target, target, 3, affine=True)
        self.shortcut = nn.Conv2d(source, target, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(F.avg_pool2d(x, 2)) + self.second(self.first(x))


class ReferenceNasBench201(nn.Module):
    """The supernet of NAS-Bench-201: three stages of cells with residual blocks between them."""

    def __init__(self, topology: CellTopology, channels: int, cells: int, classes: int, image_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(image_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.stages = nn.ModuleList()
        for stage in range(3):
            width = channels * 2**stage
            if stage:
                self.stages.append(Residual(width // 2, width))
            self.stages.extend(Cell(topology, "cell", width, concat=False) for _ in range(cells))
        self.norm = nn.BatchNorm2d(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor, weights: Weights) -> Tensor:
        x = self.stem(x)
        for part in self.stages:
            x = part([x], weights["cell"]) if isinstance(part, Cell) else part(x)
        return self.classifier(F.relu(self.norm(x)).mean((2, 3)))


def reference_of(supernet: Supernet) -> nn.Module:
    """The reference of a supernet's space and size, with the supernet's weights."""
    config = supernet.config
    kind = ReferenceNasBench201 if supernet.space.name == "nasbench201" else ReferenceDarts
    reference = kind(supernet.space.topology, config.channels, config.cells, config.num_classes, config.image_shape[0])
    copy_weights(supernet, reference)
    return reference


def copy_weights(source: Supernet, target: nn.Module) -> None:
    """Give the reference the weights of ours: both list them in the order of the paper's description.

    Raises:
        ValueError: the two do not have the same weights.
    """
    ours, theirs = list(source.parameters()), list(target.parameters())
    if [weight.shape for weight in ours] != [weight.shape for weight in theirs]:
        raise ValueError(f"reference supernet: expected the same weights, got {len(theirs)} instead of {len(ours)}")
    with torch.no_grad():
        for weight, value in zip(theirs, ours, strict=True):
            weight.copy_(value)
