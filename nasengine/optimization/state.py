"""State of optimizers as named tensors, so that it can be stored without pickle."""

import torch
from torch import Tensor


def pack_optimizer(optimizer: torch.optim.Optimizer, prefix: str) -> dict[str, Tensor]:
    """Momenta and counters, named ``prefix.<parameter index>.<entry>``."""
    return {
        f"{prefix}.{index}.{entry}": value
        for index, entries in optimizer.state_dict()["state"].items()
        for entry, value in entries.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor], prefix: str) -> None:
    """Put back what ``pack_optimizer`` took; settings such as the learning rate stay as they are."""
    content = optimizer.state_dict()
    content["state"] = {}
    for name, value in tensors.items():
        if name.startswith(f"{prefix}."):
            _, index, entry = name.rsplit(".", 2)
            # Momenta take the memory layout of their weights, or the arithmetic would round in another order.
            content["state"].setdefault(int(index), {})[entry] = value
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, entries in content["state"].items():
        layout = parameters[index]
        for entry, value in entries.items():
            if value.shape == layout.shape:
                entries[entry] = torch.empty_like(layout).copy_(value)
    optimizer.load_state_dict(content)
