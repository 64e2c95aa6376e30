"""Runs jobs one after the other in this process."""

from collections.abc import Iterator, Sequence

from nasengine.errors import TrainingError
from nasengine.protocols import Job, JobResult


class InProcessExecutor:
    """Implements the Executor protocol without other processes."""

    def run(self, jobs: Sequence[Job]) -> Iterator[JobResult]:
        """Run the jobs; one that diverges is a failed job, any other error ends the run."""
        for job in jobs:
            try:
                yield JobResult(job.name, job.work())
            except TrainingError as fault:
                yield JobResult(job.name, failure=str(fault))
