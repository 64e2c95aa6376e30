"""A run that tests fill, and a table to search."""

import pytest

from tests.integrations.nni.runs import WrittenRun
from tests.integrations.nni.trial_runs import write_table


@pytest.fixture
def run(tmp_path):
    written = WrittenRun(tmp_path / "run")
    yield written
    written.store.close()


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("table") / "table.csv.gz")
