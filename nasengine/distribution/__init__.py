"""Parts of a run on other processes or machines.

``dispatch`` gives parts to workers and records what they report; ``performing`` is what a worker does; ``processes``
and ``ray_workers`` are where workers come from. Between them travel JSON and safetensors, never pickled modules.
"""

from nasengine.distribution.choosing import make_workers, threads_for

__all__ = ["make_workers", "threads_for"]
