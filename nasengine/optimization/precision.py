"""In which precision layers compute."""

import torch

from nasengine.protocols import Precision


def layers_in(precision: Precision, device: torch.device | str) -> torch.autocast:
    """A context in which layers compute in a precision; weights stay in float32.

    >>> with layers_in("bfloat16", "cpu"):
    ...     print((torch.ones(1, 2) @ torch.ones(2, 1)).dtype)
    torch.bfloat16
    """
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")
