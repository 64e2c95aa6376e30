"""What is known of an exported network, for machines: ``card.json``; ``export.card_page`` shows it to people."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from nasengine.errors import ExportError
from nasengine.targets.target import DataType

MAX_CARD_BYTES = 10_000_000
MAX_DROP = 0.005  # of validation accuracy, that int8 may cost before training with it is offered
SAME_SPEED = 0.05  # medians that differ by less than this share are called equal


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasuredLatency(_Part):
    """What a file took on the machine that exported it, one image at a time, files in turns in random order."""

    p50_ms: float
    p95_ms: float
    runs: int
    warm_up: int
    threads: int
    cpu: str
    system: str
    onnxruntime: str
    load_average: float | None
    process_bytes: int | None


class PredictedLatency(_Part):
    """What a model says that a device takes; ``within_percent`` is one standard deviation of its errors."""

    latency_ms: float
    by: str
    within_percent: float | None


class FileCard(_Part):
    """One ONNX file.

    Args:
        name, data_type, size_bytes, sha256: of the file.
        test_accuracy: of onnxruntime with this file on all test images.
        top1_agreement: share of test images that get the same class as from the float32 file.
        max_deviation: largest deviation of a logit from the trained network's; of the float32 file only.
        validation_drop: accuracy that it lost against the float32 file on validation images; None where not measured.
        method: how the file was made.
        latency: None where it was not measured.
    """

    name: str
    data_type: DataType
    size_bytes: int
    sha256: str
    test_accuracy: float
    top1_agreement: float
    max_deviation: float | None
    validation_drop: float | None
    method: str
    latency: MeasuredLatency | None


class LimitCard(_Part):
    """One limit of a target, and what the network has."""

    name: str
    limit: int
    value: int


class TargetCard(_Part):
    """The device; every limit in ``limits`` is kept, since an export that breaks one is refused."""

    name: str
    title: str
    runtime: str
    data_types: tuple[DataType, ...]
    limits: tuple[LimitCard, ...]
    is_this_machine: bool
    predicted: PredictedLatency | None


class DataCard(_Part):
    """What the network learned from and was tested on."""

    name: str
    image_shape: tuple[int, int, int]
    num_train: int
    num_test: int


class OriginCard(_Part):
    """How the network was made."""

    run: str
    seed: int
    budget: str
    weights_sha256: str
    versions: dict[str, str]


class ModelCard(_Part):
    """Everything that is known of an exported network.

    Args:
        version: of this format.
        peak_bytes: activations that are alive at the same time, by data type; see ``export.memory``.
        preprocessing: as in ``preprocessing.json``.
        licence: of the weights, as the user stated it.
        files: the float32 file first.
        target: None where none was asked for.
    """

    format: Literal["nasengine model card"] = "nasengine model card"
    version: Literal[1] = 1
    space: str
    genotype: str
    num_parameters: int
    macs: int
    peak_bytes: dict[DataType, int]
    data: DataCard
    classes: tuple[str, ...]
    preprocessing: dict[str, str | float | list[int] | list[float]]
    licence: str
    files: tuple[FileCard, ...]
    target: TargetCard | None
    made: OriginCard

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence for each file beside the float32 one: accuracy, size and speed against it, better or worse."""
        return tuple(_compared(other, self.files[0]) for other in self.files[1:])


def read_card(path: Path) -> ModelCard:
    """A card that was written before.

    Raises:
        ExportError: the file is missing, too large or no card of this version.
    """
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise ExportError(f"card {path}: expected at most {MAX_CARD_BYTES} bytes, got {path.stat().st_size}")
        return ModelCard.model_validate_json(path.read_bytes())
    except OSError as fault:
        raise ExportError(f"card {path}: could not be read ({fault.strerror})") from fault
    except ValidationError as fault:
        first = fault.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ExportError(f"card {path}, {place}: expected a model card of version 1, got: {first['msg']}") from fault


def _compared(other: FileCard, reference: FileCard) -> str:
    points = 100 * (other.test_accuracy - reference.test_accuracy)
    accuracy = (
        "as many test images right"
        if points == 0
        else f"{abs(points):.2f} points of test accuracy {'more' if points > 0 else 'less'}"
    )
    drop = other.validation_drop
    if drop is not None and drop > MAX_DROP:
        accuracy += f" (on validation images it lost {100 * drop:.2f} points, more than {100 * MAX_DROP}: try --qat)"
    size = f"{other.size_bytes / reference.size_bytes:.2f}x the size"
    return f"{other.name} against {reference.name}: {accuracy}, {size}, {_speed(other, reference)}."


def _speed(other: FileCard, reference: FileCard) -> str:
    if other.latency is None or reference.latency is None:
        return "speed not measured"
    ratio = other.latency.p50_ms / reference.latency.p50_ms
    times = f"{other.latency.p50_ms:.3f} ms against {reference.latency.p50_ms:.3f} ms"
    if abs(ratio - 1) <= SAME_SPEED:
        return f"as fast on the machine that measured it ({times})"
    return f"{'faster' if ratio < 1 else 'slower'} on the machine that measured it ({times})"
