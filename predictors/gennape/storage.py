"""GENNAPE as one safetensors file: arrays by name, and plain values in its header. Nothing in it is executed."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy
import torch
from torch import Tensor

from nasengine.checkpoint import pack, unpack
from nasengine.errors import ConfigError, NasEngineError
from nasengine.protocols import TaskState
from nasengine.store.artifacts import write_file
from predictors.gennape.encoder import EncoderConfig, GraphEncoder
from predictors.gennape.flops_transform import FlopsTransform
from predictors.gennape.forest import Forest
from predictors.gennape.fuzzy_clusters import FuzzyClusters
from predictors.gennape.head_members import HeadKind, HeadMember, empty_head
from predictors.gennape.heads import HeadData
from predictors.gennape.k_gnn import KGNNPredictor
from predictors.gennape.ranks import RankTransform
from predictors.gennape.zero_shot import ZeroShotEnsemble
from predictors.gennape.zero_shot_members import (
    HEAD_KINDS,
    ForestMember,
    KGNNMember,
    MacsMember,
    ZeroShotMember,
)

MAX_BYTES = 512_000_000
FORMAT = 1

Tensors = dict[str, Tensor]


def save_state(path: Path, state: TaskState) -> None:
    """Write a state all at once; a file that is there is replaced only by a whole one."""
    write_file(path, pack(TaskState(state.tensors, {"format": FORMAT} | state.values)))


def read_state(path: Path) -> TaskState:
    """Read a state back.

    Raises:
        ConfigError: the file is missing, too large, no such state, or of a later format.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"predictor {path}: expected at most {MAX_BYTES} bytes, got {size}")
        state = unpack(path.read_bytes())
    except (OSError, NasEngineError) as fault:
        if isinstance(fault, ConfigError):
            raise
        raise ConfigError(
            f"predictor {path}: expected a safetensors file that 'nasengine predictor' wrote, got {fault}"
        ) from fault
    if not isinstance(state.values, dict) or state.values.get("format") != FORMAT:
        raise ConfigError(
            f"predictor {path}: expected format {FORMAT}, got another; write it again with this version of nasengine"
        )
    return state


def ensemble_state(ensemble: ZeroShotEnsemble) -> TaskState:
    """Everything of an ensemble."""
    tensors: Tensors = dict(_prefixed("encoder", ensemble.encoder.state_dict()))
    values: dict[str, Any] = {
        "encoder": asdict(ensemble.encoder.config),
        "weighting": ensemble.weighting,
        "weights": ensemble.weights.tolist(),
        "error": ensemble.error,
        "pool_size": ensemble.pool_size,
        "left_out": dict(ensemble.left_out),
        "members": [],
    }
    for name, ranks in (("feature_ranks", ensemble.feature_ranks), ("score_ranks", ensemble.score_ranks)):
        tensors[name] = _tensor(ranks.quantiles)
    for name, member in ensemble.members.items():
        found, settings = _member_state(member)
        tensors |= _prefixed(f"members.{name}", found)
        values["members"].append([name, settings])
    return TaskState(tensors, values)


def ensemble_from(state: TaskState, where: str) -> ZeroShotEnsemble:
    """Back from a state.

    Raises:
        ConfigError: something is missing or has another shape.
    """
    try:
        encoder = GraphEncoder(EncoderConfig(**state.values["encoder"]))
        encoder.load_state_dict(_under("encoder", state.tensors))
        members = {
            name: _member_from(name, _under(f"members.{name}", state.tensors), settings)
            for name, settings in state.values["members"]
        }
        weights = numpy.array(state.values["weights"], float)
        if weights.shape != (len(members),) or not numpy.isfinite(weights).all():
            raise ValueError(f"{len(weights)} weights for {len(members)} members")
        if state.values["weighting"] not in ("agreement", "equal") or int(state.values["pool_size"]) < 1:
            raise ValueError("another weighting or size of the pool")
        ranks = [RankTransform(state.tensors[name].numpy()) for name in ("feature_ranks", "score_ranks")]
        return ZeroShotEnsemble(
            encoder.eval(), members, state.values["weighting"], weights, ranks[0], ranks[1],
            float(state.values["error"]), int(state.values["pool_size"]), dict(state.values["left_out"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, RuntimeError, IndexError) as fault:
        reason = str(fault).splitlines()[0]
        raise ConfigError(f"{where}: expected the parts of a GENNAPE predictor, got {reason}") from fault


def _member_state(member: ZeroShotMember) -> tuple[Tensors, dict[str, Any]]:
    match member:
        case ForestMember(forest):
            return {name: _tensor(found) for name, found in forest.tensors().items()}, {}
        case KGNNMember(model):
            return dict(model.state_dict()), {}
        case HeadMember():
            return _head_state(member)
        case _:
            return {}, {}


def _head_state(member: HeadMember) -> tuple[Tensors, dict[str, Any]]:
    tensors: Tensors = dict(_prefixed("head", member.head.state_dict()))
    values: dict[str, Any] = {"kind": asdict(member.kind), "transform": asdict(member.transform)}
    if member.clusters is not None:
        tensors["centers"] = _tensor(member.clusters.centers)
        values["fuzzifier"] = member.clusters.fuzzifier
    if member.references is not None:
        tensors |= {f"references.{name}": found for name, found in vars(member.references).items()}
    return tensors, values


def _member_from(name: str, tensors: Tensors, values: Mapping[str, Any]) -> ZeroShotMember:
    if name == "forest":
        return ForestMember(Forest.from_tensors({key: found.numpy() for key, found in tensors.items()}))
    if name == "k-GNN":
        model = KGNNPredictor()
        model.load_state_dict(tensors)
        return KGNNMember(model.eval())
    if name in HEAD_KINDS:
        return _head_from(tensors, values)
    if name == "macs":
        return MacsMember()
    raise ValueError(f"member {name!r}")


def _head_from(tensors: Tensors, values: Mapping[str, Any]) -> HeadMember:
    kind = HeadKind(**values["kind"])
    head = empty_head(kind, _under("head", tensors))
    clusters = FuzzyClusters(tensors["centers"].numpy(), float(values["fuzzifier"])) if kind.clustered else None
    references = HeadData(**_under("references", tensors)) if kind.pairwise else None
    return HeadMember(kind, head, clusters, FlopsTransform(**values["transform"]), references)


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{prefix}.{name}": found for name, found in tensors.items()}


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Tensors:
    start = f"{prefix}."
    return {name.removeprefix(start): found for name, found in tensors.items() if name.startswith(start)}


def _tensor(values: numpy.ndarray) -> Tensor:
    return torch.from_numpy(numpy.array(values))  # a copy: members share clusters, and a file names each array once
