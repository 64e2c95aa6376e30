"""The directions in which the inputs of layers vary most, for adapters that start there (EVA)."""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nasengine.data.batches import Batch
from nasengine.errors import DataError
from nasengine.initialization.adapters.config import AdapterConfig
from nasengine.initialization.adapters.factors import largest_rank
from nasengine.initialization.adapters.layers import Layer, block_shape
from nasengine.network import GraphNetwork
from nasengine.randomness import seeded_generator
from nasengine.supernet.training.batch_norm import kept_statistics

NEGLIGIBLE = 1e-12  # a share of the variance below this is rounding


class InputDirections:
    """The right-singular vectors of a layer's inputs, learned batch by batch (incremental SVD).

    EVA (Paischer et al., 2024, arXiv 2410.07170): the expected squared gradient of B at the start is proportional to
    trace(A C A^T), and rows of A that span the top right-singular vectors make it as large as it can be. C is here the
    second moment of the inputs, E[x x^T], not centred, since this is what the gradient sees. Twice as many directions
    are carried on as are wanted, so that the wanted ones lose little.

    Args:
        layer: whose inputs are meant; each group of a convolution has directions of its own.
        wanted: directions that may be used.
        tau: cosine of directions before and after a batch from which on they count as settled.
    """

    def __init__(self, layer: Layer, wanted: int, tau: float) -> None:
        self.wanted, self.tau = wanted, tau
        groups, _, inputs = block_shape(layer)
        self.vectors = torch.zeros(groups, 0, inputs, dtype=torch.float64)
        self._values = torch.zeros(groups, 0, dtype=torch.float64)
        self._total = 0.0
        self.num_inputs = 0
        self.is_settled = False

    def update(self, inputs: Float[Tensor, "groups samples inputs"]) -> None:
        """Learn from some inputs."""
        rows = inputs.double()
        before, values = self.vectors.to(rows), self._values.to(rows)
        _, values, vectors = torch.linalg.svd(torch.cat([values[:, :, None] * before, rows], 1), full_matrices=False)
        kept = 2 * self.wanted
        self._values, self.vectors = values[:, :kept], vectors[:, :kept]
        self._total += float(rows.square().sum())
        self.num_inputs += rows.shape[1]
        self.is_settled = self._agrees_with(before)

    def _agrees_with(self, before: Tensor) -> bool:
        """Whether no wanted direction turned; those along which the inputs are zero may."""
        old, new = before[:, : self.wanted], self.vectors[:, : self.wanted]
        if old.shape != new.shape:
            return False
        is_empty = self._values[:, : self.wanted].square() <= NEGLIGIBLE * self._total
        return bool((is_empty | ((old * new).sum(-1).abs() >= self.tau)).all())

    @property
    def explained_variance(self) -> tuple[float, ...]:
        """Share of the squared inputs that each wanted direction explains, largest first; groups are summed up."""
        if self._total == 0:
            return ()
        shares = (self._values[:, : self.wanted].square().sum(0) / self._total).tolist()
        return tuple(share for share in shares if share > NEGLIGIBLE)


def sampled_inputs(
    layer: Layer, x: Tensor, count: int, generator: torch.Generator
) -> Float[Tensor, "groups samples inputs"]:
    """What a layer's matrices are multiplied with at some places of some images; all where there are few enough.

    Args:
        layer: a convolution or linear layer.
        x: what goes into it.
        count: how many to draw, with replacement, where there are more.
        generator: on the CPU.
    """
    if isinstance(layer, nn.Linear):
        rows = x.reshape(-1, x.shape[-1])
        return rows[_places(len(rows), count, generator).to(x.device)][None]
    height, width = _output_size(layer, x)
    place = _places(len(x) * height * width, count, generator).to(x.device)
    image, row, column = place // (height * width), place // width % height, place % width
    taps = [
        torch.arange(size, device=x.device) * step for size, step in zip(layer.kernel_size, layer.dilation, strict=True)
    ]
    rows = (row * layer.stride[0])[:, None, None] + taps[0][:, None]
    columns = (column * layer.stride[1])[:, None, None] + taps[1]
    top, left = int(layer.padding[0]), int(layer.padding[1])
    patches = F.pad(x, (left, left, top, top))[image[:, None, None], :, rows, columns]
    blocks = patches.permute(0, 3, 1, 2).reshape(len(place), layer.groups, -1)
    return blocks.transpose(0, 1)


def _output_size(layer: nn.Conv2d, x: Tensor) -> tuple[int, int]:
    sizes = []
    for axis in (0, 1):
        span = (layer.kernel_size[axis] - 1) * layer.dilation[axis] + 1
        sizes.append((x.shape[2 + axis] + 2 * int(layer.padding[axis]) - span) // layer.stride[axis] + 1)
    return sizes[0], sizes[1]


def _places(total: int, count: int, generator: torch.Generator) -> Tensor:
    return torch.arange(total) if total <= count else torch.randint(total, (count,), generator=generator)


@torch.no_grad()
def learn_directions(
    network: GraphNetwork, layers: Mapping[str, Layer], batches: Iterable[Batch], config: AdapterConfig, seed: int
) -> dict[str, InputDirections]:
    """Directions of all layers in one pass, which ends early once all are settled.

    Layers see what they will see in training: batch norms that are to be trained use the statistics of the batch, and
    frozen ones their running statistics. Neither changes the network.

    Raises:
        DataError: there are no images, or activations are not finite.
    """
    found = {name: InputDirections(layer, largest_rank(layer, config), config.tau) for name, layer in layers.items()}
    hooks = [
        layer.register_forward_pre_hook(partial(_learn, name, found[name], config.samples_per_batch, seed))
        for name, layer in layers.items()
    ]
    try:
        with kept_statistics(network):
            for part in network.modules():
                part.training = config.train_norms and isinstance(part, nn.BatchNorm2d)
            for images, _ in batches:
                network(images)
                if all(directions.is_settled or not directions.num_inputs for directions in found.values()):
                    break
    finally:
        for hook in hooks:
            hook.remove()
    if not any(directions.num_inputs for directions in found.values()):
        raise DataError("adapters: expected batches of images for initialization eva, got none")
    return found


def _learn(
    name: str, directions: InputDirections, count: int, seed: int, layer: Layer, inputs: tuple[Any, ...]
) -> None:
    """Hook of a layer: update its directions until they are settled."""
    if directions.is_settled:
        return
    generator = seeded_generator(seed, "adapter inputs", name, directions.num_inputs)
    sample = sampled_inputs(layer, inputs[0], count, generator)
    if not bool(torch.isfinite(sample).all()):
        raise DataError(f"adapters, layer {name}: expected finite inputs, got others; check images and weights")
    directions.update(sample)
