"""Where the blocks of any network end, found while it runs."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from predictors.zero_cost.activation_codes import is_activation

_ATEN = torch.ops.aten
_JOINS = {_ATEN.add, _ATEN.add_, _ATEN.cat}
_BY_SHAPE = {
    _ATEN.new_zeros, _ATEN.new_ones, _ATEN.new_full, _ATEN.new_empty, _ATEN.zeros_like, _ATEN.ones_like,
    _ATEN.full_like, _ATEN.empty_like, _ATEN.rand_like, _ATEN.randn_like,
}  # fmt: skip
"""Operations that look at the shape of a tensor and not at its values."""
MIN_BLOCKS = 2


class BlockTrace(TorchDispatchMode):
    """Follows the feature maps through a network that runs inside a ``with`` block.

    A block ends where maps are joined (added or concatenated) and as few maps as possible are still needed by what
    follows: one in chains of blocks, as in residual networks; two where blocks also read the block before the last, as
    in DARTS. Networks without enough joins have a block for each activation function. The first block ends with the
    first convolution.

    Args:
        image: the batch of images that goes in.
    """

    def __init__(self, image: Tensor) -> None:
        super().__init__()
        self.macs = 0
        self._value_at = {_memory(image): 0}
        self._born, self._last_use = [0], [0]
        self._step = 0
        self._found: dict[str, list[tuple[int, Tensor]]] = {"convolution": [], "join": [], "activation": []}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and note whether it concerns the image and what it hands on."""
        kind = _kind(func, args)
        result = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.macs += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=result) // 2
        memory = {_memory(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        read = memory & self._value_at.keys()
        self._step += bool(read)
        for place in read:
            self._last_use[self._value_at[place]] = self._step
        is_tracked = bool(read) and func.overloadpacket not in _BY_SHAPE
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _memory(leaf) not in memory:
                self._add_value(_memory(leaf), is_tracked)
        if is_tracked and kind and result.ndim == 4 and result.shape[2] * result.shape[3] > 1:
            self._found[kind].append((self._step, result))
        return result

    def _add_value(self, place: int, is_tracked: bool) -> None:
        """A tensor in memory of its own; memory may have belonged to another one before."""
        self._value_at.pop(place, None)
        if is_tracked:
            self._value_at[place] = len(self._born)
            self._born.append(self._step)
            self._last_use.append(self._step)

    def reaches(self, scores: Tensor) -> bool:
        """Whether the network's answer depends on the image at all."""
        return _memory(scores) in self._value_at

    def block_ends(self) -> list[Tensor]:
        """The maps at the ends of the blocks, in the order of the network."""
        joins = self._found["join"]
        # A sum of several terms is made of several additions: those that only serve the next do not count.
        steps = {step for step, _ in joins}
        whole = [(step, found) for step, found in joins if step + 1 not in steps or self._use(found) > step + 1]
        ends = self._narrowest(whole)
        if len(ends) < MIN_BLOCKS:
            ends = self._narrowest(self._found["activation"]) or ends
        first = [found for _, found in self._found["convolution"][:1]]
        return list({id(found): found for found in first + ends}.values())

    def _use(self, found: Tensor) -> int:
        """The last step that reads what was found; maps are kept, so that their memory still is their own."""
        return self._last_use[self._value_at[_memory(found)]]

    def _narrowest(self, candidates: list[tuple[int, Tensor]]) -> list[Tensor]:
        widths = [self._width(step) for step, _ in candidates]
        enough = sorted(widths)[:MIN_BLOCKS]
        return [found for (_, found), width in zip(candidates, widths, strict=True) if width <= enough[-1]]

    def _width(self, step: int) -> int:
        """How many values that exist after a step are needed later."""
        lives = zip(self._born, self._last_use, strict=True)
        return sum(born <= step < last_use for born, last_use in lives)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _kind(func: Any, args: Any) -> str | None:
    if func.overloadpacket in _JOINS:
        return "join"
    if func.overloadpacket is _ATEN.convolution:
        return "convolution"
    return "activation" if is_activation(func, args) else None
