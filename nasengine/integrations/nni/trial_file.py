"""What a trial has measured, in a file of its own: known results are not computed again, and reports agree with it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nasengine.errors import StoreError
from nasengine.pipeline.trial_results import LOGS, Metrics
from nasengine.store.artifacts import write_file

MAX_BYTES = 10_000_000
IRRELEVANT = {"count", "concurrency", "tuner", "stop_early", "max_seconds", "table"}
"""Settings of trials that do not change what one of them measures; a table counts by its content."""


class Measured(BaseModel):
    """A trial so far.

    Args:
        genotype: of its architecture.
        epochs: results on the way; ``default`` is the accuracy.
        final: the result: accuracy (``default``) and costs; None while there is none.
        failure: why there will be none.
        seconds: that it took.
    """

    model_config = ConfigDict(extra="forbid")

    genotype: str
    epochs: list[Metrics] = Field(default_factory=list)
    final: Metrics | None = None
    failure: str | None = None
    seconds: float = Field(default=0.0, ge=0)


class TrialFile:
    """The file of one architecture in a run.

    Args:
        run: folder of the run.
        settings: of the run.
        data: fingerprint of the images.
        genotype: of the architecture.
    """

    def __init__(self, run: Path, settings: dict[str, Any], data: str, genotype: str) -> None:
        self.path = run / LOGS / f"{key_of(settings, data, genotype)}.json"
        self.genotype = genotype

    def read(self) -> Measured | None:
        """What was measured; None where nothing was, or the file is damaged or of another architecture."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                return None
            found = Measured.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as fault:
            raise StoreError(f"trial {self.path}: could not be read ({fault.strerror})") from fault
        except ValidationError:
            return None
        return found if found.genotype == self.genotype else None

    def write(self, measured: Measured) -> None:
        """Keep what was measured, whole or not at all."""
        write_file(self.path, measured.model_dump_json().encode())


def key_of(settings: dict[str, Any], data: str, genotype: str) -> str:
    """Equal for evaluations that give the same result: of an architecture, with a configuration and a seed."""
    trials = {name: value for name, value in settings["trials"].items() if name not in IRRELEVANT}
    content = {**settings, "trials": trials, "data": data, "strategy": "", "genotype": genotype}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
