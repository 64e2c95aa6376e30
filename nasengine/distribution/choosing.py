"""From what ``--workers`` says to workers."""

import os
import re
from typing import NamedTuple

import torch

from nasengine.errors import ConfigError
from nasengine.pipeline import SearchSettings
from nasengine.pipeline.task import Progress
from nasengine.pipeline.workers import Workers

MAX_WORKERS = 1024
CLUSTER = "ray://"


class Choice(NamedTuple):
    """Where workers are, and how many; no number for a cluster elsewhere, which knows its own."""

    is_ray: bool
    number: int | None
    address: str | None


def read_choice(text: str) -> Choice:
    """Read ``4``, ``ray``, ``ray:4`` or ``ray://HOST:PORT``.

    Raises:
        ConfigError: anything else.

    >>> read_choice("ray:4")
    Choice(is_ray=True, number=4, address=None)
    """
    if re.fullmatch(r"ray://[\w.\-\[\]:]+:\d{1,5}", text):
        return Choice(True, None, text)
    word, colon, number = text.partition(":") if text.startswith("ray") else ("", ":", text)
    if word == "ray" and not colon:
        return Choice(True, os.cpu_count() or 1, None)
    if word in ("", "ray") and number.isdecimal() and len(number) <= 4 and 1 <= int(number) <= MAX_WORKERS:
        return Choice(word == "ray", int(number), None)
    raise ConfigError(
        f"--workers: expected a number from 1 to {MAX_WORKERS}, ray, ray:NUMBER or ray://HOST:PORT, got {text!r}"
    )


def threads_for(text: str | None) -> int:
    """Threads of torch for each worker, so that all of this machine share its cores; OMP_NUM_THREADS counts first."""
    own = torch.get_num_threads()
    if text is None:
        return own
    count = read_choice(text).number
    return own if count is None or "OMP_NUM_THREADS" in os.environ else max(1, own // count)


def make_workers(text: str | None, settings: SearchSettings, progress: Progress) -> Workers | None:
    """Workers for a run; None for none. They are started when there is work.

    Raises:
        ConfigError: no such workers.
        DependencyError: Ray is not installed.
    """
    if text is None:
        return None
    choice = read_choice(text)
    if choice.is_ray:
        from nasengine.distribution.ray_workers import RayWorkers

        return RayWorkers(choice.address, choice.number, settings, progress)
    from nasengine.distribution.dispatch import Dispatcher
    from nasengine.distribution.processes import ProcessWorker

    return Dispatcher(lambda _: ProcessWorker(), choice.number or 1, progress)
