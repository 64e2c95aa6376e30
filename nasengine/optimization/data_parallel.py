"""One training shared by several processes: each takes its part of every batch, and gradients are averaged.

Li et al., 2020, arXiv 2006.15704 (PyTorch distributed), without overlap of computation and communication. All processes
run the same program with the same seeds: they draw the same batches, choose the same paths and take the same steps,
since the gradients that they step along are the same. Batch norms use the statistics of their own process's images, so
that the outcome is close to that of one process, but not equal. Alone, a process does everything as if this was not
there.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nasengine.errors import ConfigError, TrainingError, WorkerError

MIN_IMAGES = 2
"""Of a process in a batch: batch norm knows no spread of a single value."""


def num_processes() -> int:
    """How many share the training; 1 alone."""
    return dist.get_world_size() if _is_shared() else 1


def is_first_process() -> bool:
    """Whether this process owns the run folder and prints."""
    return not _is_shared() or dist.get_rank() == 0


def check_batches(num_images: int, batch_size: int, where: str) -> None:
    """See that every batch has enough images for all processes.

    Args:
        num_images: in a split that ``batches`` divides.
        batch_size: images in a batch, at most.
        where: which training, for the message.

    Raises:
        ConfigError: some batch has too few.
    """
    smallest = num_images // -(-num_images // batch_size)
    if num_processes() > 1 and smallest < MIN_IMAGES * num_processes():
        raise _too_few(smallest, f"torchrun, {where}")


def share_of(batch: tuple[Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor], float]:
    """This process's part of a batch, and which share of the batch it is.

    Args:
        batch: images and labels, the same in all processes.

    Raises:
        ConfigError: too few images for all processes.

    >>> share_of((torch.zeros(5, 3), torch.arange(5)))[1]
    1.0
    """
    if not _is_shared():
        return batch, 1.0
    (images, labels), count, own = batch, dist.get_world_size(), dist.get_rank()
    if count > 1 and len(labels) < MIN_IMAGES * count:
        raise _too_few(len(labels), "torchrun")
    part = images[own::count], labels[own::count]
    return part, len(part[1]) / len(labels)


def sum_over_processes(value: Tensor | float | int) -> float:
    """The sum of a number over all processes; not finite for all where it is not finite for one."""
    if not _is_shared():
        return float(value)
    total = torch.as_tensor(value, dtype=torch.float64, device=_device()).clone()
    _all_reduce(total)
    return float(total)


def weighted_mean(tensors: Sequence[Tensor], share: float) -> list[Tensor]:
    """Mean of each tensor over all processes; those of one type travel together.

    Args:
        tensors: of the same shapes in all processes.
        share: weight of this process; all weights add up to 1.
    """
    if not _is_shared():
        return list(tensors)
    means = list(tensors)
    for dtype in dict.fromkeys(tensor.dtype for tensor in tensors):
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        flat = torch.cat([tensors[place].detach().reshape(-1) for place in places]).mul_(share)
        _all_reduce(flat)
        for place, part in zip(places, flat.split([tensors[place].numel() for place in places]), strict=True):
            means[place] = part.view(tensors[place].shape)
    return means


def average_gradients(parameters: Iterable[nn.Parameter], share: float) -> None:
    """Turn gradients of this process's mean loss into those of the whole batch's mean loss.

    Parameters that took no part in any process keep no gradient, such as those of paths that were not chosen.

    Args:
        parameters: the same in all processes.
        share: of the batch that this process had.

    Raises:
        WorkerError: a parameter took part in some processes only.
    """
    if not _is_shared():
        return
    parameters = list(parameters)
    users = torch.tensor([parameter.grad is not None for parameter in parameters], dtype=torch.int32, device=_device())
    _all_reduce(users)
    if not bool(((users == 0) | (users == dist.get_world_size())).all()):
        raise _different("paths")
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    for gradient, mean in zip(gradients, weighted_mean(gradients, share), strict=True):
        gradient.copy_(mean)


def average_buffers(module: nn.Module) -> None:
    """Let running statistics be the mean over all processes; spread between their means is not counted."""
    if _is_shared():
        buffers = [buffer for buffer in module.buffers() if buffer.is_floating_point()]
        for buffer, mean in zip(buffers, weighted_mean(buffers, 1 / dist.get_world_size()), strict=True):
            buffer.copy_(mean)


@contextmanager
def averaged_statistics(module: nn.Module) -> Iterator[None]:
    """Afterwards running statistics agree, also where training diverged, which all processes notice together."""
    try:
        yield
    except TrainingError:
        average_buffers(module)
        raise
    average_buffers(module)


def own_generator(generator: torch.Generator | None) -> torch.Generator | None:
    """A source of chance for this process's images.

    Every process takes one number from the shared generator, however many images it has, so that what is drawn from
    that one later is still the same everywhere.
    """
    if generator is None or not _is_shared():
        return generator
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.Generator().manual_seed(seed + dist.get_rank())


def check_same(what: str, content: bytes) -> None:
    """See that all processes have the same; one number travels.

    Args:
        what: they should agree about, for the message.
        content: of this process.

    Raises:
        WorkerError: another process has another.
    """
    if not _is_shared():
        return
    number = int.from_bytes(hashlib.sha256(content).digest()[:8], "little") >> 1
    ends = torch.tensor([number, -number], device=_device())
    _all_reduce(ends, dist.ReduceOp.MAX)
    if int(ends[0]) != -int(ends[1]):
        raise _different(what)


def from_first_process(values: Tensor) -> Tensor:
    """What the first process has; the others give a tensor of the same shape and type."""
    if not _is_shared():
        return values
    mine = values if dist.get_rank() == 0 else torch.zeros_like(values)
    moved = mine.to(_device())
    _all_reduce(moved)
    return moved.to(values.device)


def wait_for_all() -> None:
    """Go on when all processes are here."""
    sum_over_processes(0.0)


def _is_shared() -> bool:
    return dist.is_available() and dist.is_initialized()


def _device() -> torch.device:
    """Where numbers of the program itself travel from."""
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _all_reduce(tensor: Tensor, operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM) -> None:
    try:
        dist.all_reduce(tensor, operation)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as fault:  # gloo has no error of its own
        raise WorkerError(
            f"torchrun: expected {dist.get_world_size()} processes until the end, got one that stopped answering "
            f"({str(fault).splitlines()[0][:80]}); see its own message, and go on with --resume"
        ) from fault


def _different(what: str) -> WorkerError:
    return WorkerError(
        f"torchrun: expected the same {what} in all {dist.get_world_size()} processes, got different ones; go on with "
        "--resume, and look for machines or versions that differ if it happens again"
    )


def _too_few(got: int, where: str) -> ConfigError:
    count = num_processes()
    return ConfigError(
        f"{where}: expected batches of at least {MIN_IMAGES * count} images for {count} processes, got {got}; start "
        "fewer processes, or take a larger budget or more images"
    )
