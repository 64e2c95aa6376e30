"""The pipeline: settings, tasks that resume, and the search from data to exported network."""

from nasengine.pipeline.finding import Parts
from nasengine.pipeline.search import Search
from nasengine.pipeline.settings import SearchSettings
from nasengine.pipeline.task import Progress, run_task

__all__ = ["Parts", "Progress", "Search", "SearchSettings", "run_task"]
