"""What converters from torch need: a network in torch's default memory layout, silence, and one kind of error."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO

import torch
from torch import nn

from nasengine.errors import ExportError


def in_default_layout(network: nn.Module) -> nn.Module:
    """A copy whose weights are not in channels_last, the layout that is fastest in torch but that converters refuse."""
    plain = copy.deepcopy(network)
    for value in (*plain.parameters(), *plain.buffers()):
        value.data = value.data.clone(memory_format=torch.contiguous_format)
    return plain


@contextmanager
def conversion(name: str) -> Iterator[None]:
    """Silences a converter, which warns of its own deprecations and prints its progress, and names what fails.

    Raises:
        ExportError: it raised an Exception of its own, a RuntimeError or a ValueError.
    """
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    except Exception as fault:
        if type(fault) is not Exception and not isinstance(fault, (RuntimeError, ValueError, AssertionError)):
            raise
        if isinstance(fault, ExportError):
            raise
        reason = next(iter(str(fault).strip().splitlines()), type(fault).__name__)
        raise ExportError(f"export to {name}: expected a network that it can convert, got: {reason}") from fault
    finally:
        logging.disable(before)
