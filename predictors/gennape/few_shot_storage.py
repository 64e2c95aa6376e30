"""What was learned from few labels, as named arrays and plain values."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy
import torch

from nasengine.errors import ConfigError
from nasengine.protocols import TaskState
from predictors.gennape.few_shot import FewShot, FewShotConfig
from predictors.gennape.forest_member import ForestMember
from predictors.gennape.gaussian_process import GaussianProcess
from predictors.gennape.inputs import ColourVocabulary, InputRanks
from predictors.gennape.label_scale import LabelScale
from predictors.gennape.member import Member
from predictors.gennape.rank_network import RankNetwork
from predictors.gennape.ranks import RankTransform
from predictors.gennape.stacking import Stack
from predictors.gennape.tuned_head import TunedHead

Arrays = dict[str, numpy.ndarray]
_READERS: Mapping[str, Callable[[Arrays], Member]] = {
    "forest": ForestMember.from_tensors,
    "gaussian process": GaussianProcess.from_tensors,
    "rank network": RankNetwork.from_tensors,
    "tuned head": TunedHead.from_tensors,
}


def few_shot_state(found: FewShot) -> TaskState:
    """Everything, under names that begin with ``few_shot``."""
    arrays: Arrays = {f"colours.{name}": part.view(numpy.int64) for name, part in found.vocabulary.tensors().items()}
    arrays |= {f"ranks.{name}": ranks.quantiles for name, ranks in found.ranks.transforms.items()}
    for name, member in found.stack.members.items():
        arrays |= {f"members.{name}.{part}": values for part, values in member.tensors().items()}
    arrays |= {"weights": found.stack.weights, "labels": found.labels}
    assert found.stack.scale is not None
    values: dict[str, Any] = {
        "config": asdict(found.config),
        "proxies": list(found.proxy_names),
        "members": list(found.stack.members),
        "std_factor": found.stack.std_factor,
        "scale": asdict(found.stack.scale),
    }
    tensors = {f"few_shot.{name}": torch.from_numpy(numpy.array(part)) for name, part in arrays.items()}
    return TaskState(tensors, {"few_shot": values})


def few_shot_from(state: TaskState, where: str) -> FewShot:
    """Back from a state, which may come from anywhere.

    Raises:
        ConfigError: something is missing or has another shape.
    """
    arrays = {
        name.removeprefix("few_shot."): found.numpy()
        for name, found in state.tensors.items()
        if name.startswith("few_shot.")
    }
    try:
        return _read(arrays, state.values["few_shot"])
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as fault:
        reason = str(fault).splitlines()[0]
        raise ConfigError(f"{where}: expected the parts of a predictor with labels, got {reason}") from fault


def _read(arrays: Arrays, values: Mapping[str, Any]) -> FewShot:
    config = FewShotConfig(**(values["config"] | {"members": tuple(values["config"]["members"])}))
    colours = {name: part.view(numpy.uint64) for name, part in _under("colours", arrays).items()}
    ranks = {name: RankTransform(part) for name, part in _under("ranks", arrays).items()}
    stack = Stack({}, config.weighting, config.folds)
    stack.members = {name: _READERS[name](_under(f"members.{name}", arrays)) for name in values["members"]}
    stack.weights, stack.std_factor = arrays["weights"], float(values["std_factor"])
    stack.scale = LabelScale(**values["scale"])
    if len(stack.weights) != len(stack.members):
        raise ValueError("another number of weights than of members")
    vocabulary = ColourVocabulary.from_tensors(colours)
    return FewShot(config, vocabulary, InputRanks(ranks), stack, tuple(values["proxies"]), arrays["labels"])


def _under(prefix: str, arrays: Arrays) -> Arrays:
    start = f"{prefix}."
    return {name.removeprefix(start): found for name, found in arrays.items() if name.startswith(start)}
