"""Jobs in this process: a failed one does not stop the others."""

import pytest

from nasengine.errors import TrainingError
from nasengine.pipeline.executor import InProcessExecutor
from nasengine.protocols import Executor, Job


def fail():
    raise TrainingError("b: expected a finite loss, got nan")


def test_jobs_run_in_order_and_failures_are_results():
    executor = InProcessExecutor()
    assert isinstance(executor, Executor)
    jobs = [Job("a", lambda: 1), Job("b", fail), Job("c", lambda: 3)]
    results = list(executor.run(jobs))
    assert [(result.name, result.value) for result in results] == [("a", 1), ("b", None), ("c", 3)]
    assert results[1].failure == "b: expected a finite loss, got nan"


def test_mistakes_in_the_program_end_the_run():
    with pytest.raises(ZeroDivisionError):
        list(InProcessExecutor().run([Job("a", lambda: 1 // 0)]))
