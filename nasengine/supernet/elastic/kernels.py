"""Smaller kernels out of larger ones: their centres, through maps that are learned."""

from jaxtyping import Float
from torch import Tensor, eye, nn

from nasengine.errors import ConfigError

Kernel = tuple[int, int]
Weight = Float[Tensor, "outputs inputs _height _width"]


class KernelTransform(nn.Module):
    """Kernels of a convolution at all sizes that a space gives it.

    Cai et al., 2020, arXiv 1908.09791 ("once-for-all"), section 3.2: the centre of a kernel, times a matrix that all
    channels share, is the kernel of the next size; the centre of that, times another, the one after. Matrices begin as
    the identity.

    Args:
        largest: size of the weights that there are.
        smallest: size at which the steps end.
        is_learned: whether there are matrices; otherwise centres are taken as they are.

    >>> transform = KernelTransform((5, 5), (3, 3))
    >>> {name: tuple(matrix.shape) for name, matrix in transform.matrices.items()}
    {'3x3': (9, 9)}
    """

    def __init__(self, largest: Kernel, smallest: Kernel, *, is_learned: bool = True) -> None:
        super().__init__()
        self.sizes = _sizes(largest, smallest)
        self.matrices = nn.ParameterDict(
            {_name(size): nn.Parameter(eye(size[0] * size[1])) for size in self.sizes[1:] if is_learned}
        )

    def forward(self, weight: Weight, kernel: Kernel) -> Weight:
        """The weights at a size.

        Raises:
            ConfigError: a size that is not on the way from the largest to the smallest.
        """
        if kernel not in self.sizes:
            raise ConfigError(f"kernel transform: expected one of {', '.join(map(_name, self.sizes))}, got {kernel}")
        for size in self.sizes[1 : self.sizes.index(kernel) + 1]:
            weight = self._mapped(centre(weight, size), size)
        return weight

    def _mapped(self, weight: Weight, size: Kernel) -> Weight:
        name = _name(size)
        return weight if name not in self.matrices else (weight.flatten(2) @ self.matrices[name].T).unflatten(2, size)


def centre(weight: Weight, kernel: Kernel) -> Weight:
    """The middle of kernels."""
    top, left = ((have - want) // 2 for have, want in zip(weight.shape[2:], kernel, strict=True))
    return weight[:, :, top : top + kernel[0], left : left + kernel[1]]


def _sizes(largest: Kernel, smallest: Kernel) -> tuple[Kernel, ...]:
    """From the largest to the smallest, one ring of weights less at each step."""
    if any(high < low or (high - low) % 2 for high, low in zip(largest, smallest, strict=True)):
        raise ConfigError(f"kernel transform: expected sizes with one centre, got {largest} and {smallest}")
    found = [largest]
    while found[-1] != smallest:
        (height, width), (least_height, least_width) = found[-1], smallest
        found.append((max(height - 2, least_height), max(width - 2, least_width)))
    return tuple(found)


def _name(kernel: Kernel) -> str:
    return f"{kernel[0]}x{kernel[1]}"
