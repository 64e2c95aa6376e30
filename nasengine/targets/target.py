"""What a device takes: data types, operators, memory, and how long networks take there."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

DataType = Literal["float32", "float16", "int8"]
Runtime = Literal["onnxruntime", "openvino", "executorch", "litert", "litert-micro", "any"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
PRINTABLE = r"^[^\x00-\x1f\x7f]*$"  # these texts reach terminals and file systems
Words = Annotated[str, Field(min_length=1, max_length=500, pattern=PRINTABLE)]
OperatorName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
MAX_BYTES = 2**40
MAX_OPERATORS = 500


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"expected each value once, got {', '.join(repeated)} repeatedly")
    return values


class Limits(BaseModel):
    """What must not be exceeded; None is no limit.

    Args:
        model_bytes: size of the file: flash or storage that is left for it.
        peak_bytes: largest sum of live activations in the device's data type: working memory.
        macs: multiply-accumulates of one image.
        num_parameters: learned values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_bytes: int | None = Field(default=None, ge=1, le=MAX_BYTES)
    peak_bytes: int | None = Field(default=None, ge=1, le=MAX_BYTES)
    macs: int | None = Field(default=None, ge=1, le=10**15)
    num_parameters: int | None = Field(default=None, ge=1, le=MAX_BYTES)


class Latency(BaseModel):
    """Where the device's latency comes from.

    Args:
        model: name of a registered latency model, or the path of a look-up table that ``nasengine target profile``
            wrote, relative to the target's file; its figures are predictions.
        measured: latency is measured here, in onnxruntime, since this machine is the device.
        threads: of the runtime.
        about: what was measured, where and by whom.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Annotated[str, Field(min_length=1, max_length=1000, pattern=PRINTABLE)] | None = None
    measured: bool = False
    threads: int = Field(default=1, ge=1, le=1024)
    about: str = Field(default="", max_length=1000, pattern=PRINTABLE)

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> "Latency":
        if self.measured == (self.model is not None):
            raise ValueError("expected either the name of a model or measured = true")
        return self


class Target(BaseModel):
    """A device, or a class of devices.

    Args:
        name: what ``--target`` calls it.
        title: what people call it.
        runtime: what runs the file there; ``any`` where that is open.
        data_types: of weights and activations that it runs, the preferred one first.
        operators: ONNX operators that it runs; empty for no restriction.
        limits: what must not be exceeded.
        latency: where latency comes from; None where nothing is known.
        sources: where these facts are from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    title: Words
    runtime: Runtime = "any"
    data_types: Annotated[tuple[DataType, ...], AfterValidator(_each_once)] = Field(
        default=("float32",), min_length=1, max_length=3
    )
    operators: Annotated[tuple[OperatorName, ...], AfterValidator(_each_once)] = Field(
        default=(), max_length=MAX_OPERATORS
    )
    limits: Limits = Limits()
    latency: Latency | None = None
    sources: tuple[Words, ...] = Field(default=(), max_length=20)

    @property
    def bytes_per_value(self) -> int:
        """Of the preferred data type."""
        return {"float32": 4, "float16": 2, "int8": 1}[self.data_types[0]]
