"""What all tests share: one thread each where they run side by side, and the reference tables where they are."""

import csv
import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:  # waiting threads cost more than they do
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
settings.load_profile("unhurried")


@pytest.fixture(autouse=True)
def as_many_threads_as_before() -> Iterator[None]:
    """Commands that run in this process set the number of threads; later tests would wait for one another's."""
    before = 1 if "PYTEST_XDIST_WORKER" in os.environ else torch.get_num_threads()
    torch.set_num_threads(before)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def benchmark_folder() -> Path:
    """The folder with the reference tables and images; tests that need it are skipped without one."""
    folder = os.environ.get("NASENGINE_BENCH_DATA")
    if not folder:
        pytest.skip("NASENGINE_BENCH_DATA names no folder with the tables")
    return Path(folder)


@pytest.fixture
def benchmark_table(benchmark_folder) -> Callable[[str], list[dict[str, str]]]:
    """Reads all rows of one of the tables."""

    def read(name: str) -> list[dict[str, str]]:
        with gzip.open(benchmark_folder / f"{name}.csv.gz", "rt") as file:
            return list(csv.DictReader(file))

    return read
