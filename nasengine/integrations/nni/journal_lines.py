"""What the page needs of a run's journal; a journal may come from anyone, so every value is checked."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from nasengine.errors import StoreError

LATEST = 1e11
"""Seconds since 1970 that no run can have."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=LATEST)]
Text = Annotated[str, Field(max_length=10_000)]
Index = Annotated[int, Field(ge=0, le=10**6)]
Size = Annotated[int, Field(ge=1, le=10**6)]


class Line(BaseModel):
    """Every event of a run: when its work ended, and how long it took."""

    time: Seconds
    seconds: Seconds = 0.0

    @property
    def began(self) -> float:
        """When the work began."""
        return max(0.0, self.time - self.seconds)


class DataLine(Line):
    """The images of a run."""

    image_shape: tuple[Size, Size, Size]
    num_classes: Size


class Step(Line):
    """A step of a task."""

    task: Text
    step: Index
    metrics: dict[str, Any]


class SampledPath(BaseModel):
    """Metrics of a step that measured one path with shared weights."""

    genotype: Text
    accuracy: Fraction


class Epoch(BaseModel):
    """Metrics of an epoch; ``network`` numbers the finalists."""

    loss: Finite | None = None
    train_accuracy: Fraction | None = None
    network: Index | None = None
    failure: Text | None = None

    @property
    def value(self) -> dict[str, float] | None:
        """As NNI has intermediate results: larger is better; None where nothing was measured."""
        loss = {} if self.loss is None else {"loss": self.loss}
        if self.train_accuracy is not None:
            return {"default": self.train_accuracy, **loss}
        return None if self.loss is None else {"default": -self.loss, **loss}


class RaceLine(Line):
    """Who is in the race, in the order of their numbers."""

    genotypes: list[Text]


class RoundLine(Line):
    """The end of a round: accuracies of finalists by their number."""

    validation_accuracy: dict[Index, Fraction]


class Tested(BaseModel):
    """A network's test."""

    genotype: Text
    test_accuracy: Fraction


class TestLine(Line):
    """The test of the winner or of the random architecture."""

    network: Text
    result: Tested


class Finalist(BaseModel):
    """A finalist when it left the race."""

    genotype: Text
    validation_accuracy: Fraction
    leaf: Index
    is_predicted: bool = False


class FinalistsLine(Line):
    """All finalists, in the order of their numbers."""

    leaves: list[Finalist]


class LimitsLine(Line):
    """Neighbours that keep the limits of a device, with accuracies by shared weights."""

    network: Text
    compared: list[tuple[Text, Fraction]]


class PredictionLine(Line):
    """What a predictor proposed: genotype, mean, standard deviation."""

    predicted: list[tuple[Text, Finite, Finite]]


class FailedLeafLine(Line):
    """A part of the supernet whose training failed."""

    leaf: Index
    reason: Text


Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], content: Mapping[str, Any], where: str) -> Model:
    """Check an event or its metrics.

    Raises:
        StoreError: a value that is missing or cannot be.

    >>> read(SampledPath, {"genotype": "a", "accuracy": 0.5}, "journal").accuracy
    0.5
    """
    try:
        return model.model_validate(content)
    except ValidationError as fault:
        first = fault.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))[:80]
        raise StoreError(f"{where}: expected {place} of the kind that a search writes, got {first['msg']}") from fault
