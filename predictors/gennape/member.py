"""What a member of the ensemble offers."""

from collections.abc import Mapping
from typing import Protocol, TypeVar, runtime_checkable

import numpy

from nasengine.errors import ConfigError
from predictors.gennape.inputs import MemberInputs

Fitted = TypeVar("Fitted")


@runtime_checkable
class Member(Protocol):
    """A regressor from a few labelled networks. Targets are on the scale of ``LabelScale``: centred, of variance 1."""

    def fit(self, inputs: MemberInputs, targets: numpy.ndarray, seed: int) -> None:
        """Learn, deterministically by seed."""

    def predict(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray | None]:
        """Mean and, where the member knows it, standard deviation of the label, (num_networks,) each."""

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything that was learnt, as named arrays."""


def fitted(state: Fitted | None) -> Fitted:
    """The state, if there is one.

    Raises:
        ConfigError: there is none yet.
    """
    if state is None:
        raise ConfigError("predictor: expected fit() before predict()")
    return state
