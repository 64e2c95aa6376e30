"""Which units are active for which image (Mellor et al., 2021, arXiv 2006.04647, version 3: NASWOT)."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from nasengine.errors import ConfigError

_ATEN = torch.ops.aten
ACTIVATIONS = {
    _ATEN.relu, _ATEN.relu_, _ATEN.hardtanh, _ATEN.hardtanh_, _ATEN.leaky_relu, _ATEN.leaky_relu_, _ATEN._prelu_kernel,
    _ATEN.threshold, _ATEN.threshold_, _ATEN.elu, _ATEN.elu_, _ATEN.gelu, _ATEN.silu, _ATEN.silu_, _ATEN.hardswish,
    _ATEN.hardswish_, _ATEN.mish, _ATEN.mish_,
}  # fmt: skip
"""ReLU and its relatives, as torch's core names them: modules, functions and methods all end here."""
_CLAMPS = {_ATEN.clamp, _ATEN.clamp_, _ATEN.clamp_min, _ATEN.clamp_min_}


class ActivationCodes(TorchDispatchMode):
    """Compares images by the ReLUs that they switch on, while the network runs inside a ``with`` block.

    With c the binary code of an image over all units, the kernel of two images counts the units that agree,
    ``K_ij = c_i c_j + (1 - c_i) (1 - c_j)``; the score is log det K. Two deviations from the paper: units of the
    smooth relatives of ReLU count by the sign of their input, and one more unit is added that tells all images apart
    (K + identity), so that the score is finite where images share their code. Kernels have entries far above 1.

    Args:
        batch_size: number of images.

    >>> with ActivationCodes(2) as codes:
    ...     _ = torch.relu(torch.tensor([[1.0, -1.0], [1.0, 1.0]]))
    >>> codes.kernel.tolist()
    [[2.0, 1.0], [1.0, 2.0]]
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size, self.num_units = batch_size, 0
        self.kernel = torch.zeros(batch_size, batch_size, dtype=torch.float64)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Look at the input of an activation before it may be overwritten."""
        if is_activation(func, args) and args[0].numel() % self.batch_size == 0:
            self._add(args[0])
        return func(*args, **(kwargs or {}))

    def _add(self, x: Tensor) -> None:
        if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last):
            x = x.permute(0, 2, 3, 1)  # the order of units does not matter; this one needs no copy
        active = (x > 0).reshape(self.batch_size, -1).float()
        # c_i c_j + (1 - c_i)(1 - c_j) needs one product; its whole numbers are exact in float32 up to 2 ** 24 units.
        both = (active @ active.T).double().cpu()
        ones = both.diagonal()
        units = active.shape[1]
        self.kernel += 2 * both - ones[:, None] - ones[None, :] + units
        self.num_units += units

    def score(self) -> float:
        """Log-determinant of the kernel.

        Raises:
            ConfigError: the network has no ReLU or relative of it.
        """
        if not self.num_units:
            raise ConfigError("nwot: expected a network with ReLUs or their relatives, got none; leave nwot out")
        return float(torch.linalg.slogdet(self.kernel + torch.eye(self.batch_size, dtype=torch.float64)).logabsdet)


def is_activation(func: Any, args: Any) -> bool:
    """Whether an operation of torch's core is a ReLU or a relative, or a clamp at 0."""
    packet = func.overloadpacket
    if packet in _CLAMPS:
        return len(args) > 1 and isinstance(args[1], (int, float)) and args[1] == 0
    return packet in ACTIVATIONS
