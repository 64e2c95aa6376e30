"""Brings a task to its end, whatever interrupts it."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch

from nasengine.checkpoint import pack, unpack
from nasengine.errors import DeviceError, TrainingError
from nasengine.optimization import check_same, num_processes
from nasengine.protocols import Task
from nasengine.randomness import seed_of
from nasengine.store import RunStore


@runtime_checkable
class Progress(Protocol):
    """Shows how far a run is."""

    def begin(self, task: str, num_steps: int, done: int) -> None: ...
    def advance(self, task: str, step: int, metrics: Mapping[str, Any]) -> None: ...


def run_task(task: Task, name: str, store: RunStore, progress: Progress, *, seed: int) -> None:
    """Run the steps of a task that the store does not have yet; each is recorded with the state after it.

    Args:
        task: the work.
        name: what the journal calls it.
        store: the run folder.
        progress: is told about every step.
        seed: of the run.

    Raises:
        TrainingError: the GPU's memory does not suffice.
        DeviceError: the same where several processes share the training: one cannot go on without the others.
        WorkerError: these processes do not agree.
    """
    last = store.last("step", task=name)
    step = 0
    if last is not None:
        task.load_state(unpack(store.artifacts.get(last["state"])))
        step = last["step"] + 1
    progress.begin(name, task.num_steps, step)
    while step < task.num_steps:
        begin = time.perf_counter()
        # Noise operations draw from torch's own generator: what they draw depends on the step alone as well.
        torch.manual_seed(seed_of(seed, name, step))
        try:
            metrics = task.run_step(step)
        except torch.OutOfMemoryError as fault:
            kind = TrainingError if num_processes() == 1 else DeviceError
            raise kind(
                f"{name}, step {step}: expected the GPU's memory to suffice, got {str(fault).splitlines()[0]}; "
                "use a smaller budget, or --device cpu"
            ) from fault
        seconds = round(time.perf_counter() - begin, 4)
        state = pack(task.state())
        check_same(f"state after step {step} of {name}", state)
        store.checkpoint(name, step, state, metrics, seconds)
        progress.advance(name, step, metrics)
        step += 1


def run_once(
    event: str, key: Mapping[str, str], work: Callable[[], dict[str, Any]], store: RunStore, progress: Progress | None
) -> dict[str, Any]:
    """Do a single piece of work and record what it returns, or return what the store has recorded already."""
    known = store.last(event, **key)
    if known is None:
        label = " ".join([event, key.get("network", "")]).rstrip()
        if progress is not None:
            progress.begin(label, 1, 0)
        begin = time.perf_counter()
        content = work()
        store.record(event, **key, **content, seconds=round(time.perf_counter() - begin, 4))
        if progress is not None:
            progress.advance(label, 0, content)
        return content
    return known
