"""A folder with everything that a device needs: files in each data type, card, labels, preprocessing and a script."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from export.card import ModelCard, PredictedLatency
from export.card_page import page
from export.card_writing import Made, make_card
from export.folder_replacement import draft_of
from export.memory import peak_bytes
from export.onnx import export_onnx
from export.operators import check_file, refuse_unsupported
from export.precisions import write_float16, write_int8
from export.winner import Winner
from nasengine.errors import ConfigError, ExportError
from nasengine.graph import cost
from nasengine.pipeline.exporting import export_checked, preprocessing
from nasengine.targets import Target
from nasengine.targets.target import DataType

FILES: Mapping[DataType, str] = {"float32": "model.onnx", "int8": "model.int8.onnx", "float16": "model.fp16.onnx"}
TEXTS = ("card.json", "card.md", "labels.txt", "preprocessing.json", "infer.py")
SCRIPT = "infer.py.txt"  # not .py: tools that collect modules would run it
STATIC_RUNTIMES = ("litert", "litert-micro")


@dataclass(frozen=True, slots=True)
class Choices:
    """What ``nasengine export`` was asked for.

    Args:
        target: limits and preferred data type; None for no limits.
        data_types: of files beside the float32 one.
        tuning_epochs: of training with int8 in the loop, before the int8 file is written; 0 for none.
        is_static: files take one image at a time; also where the target's runtime knows no other way.
        licence: of the weights, for the card.
        predicted: latency on the target, where a model knows it.
        runs: of each file while latency is measured.
    """

    target: Target | None = None
    data_types: tuple[DataType, ...] = ()
    tuning_epochs: int = 0
    is_static: bool = False
    licence: str = "not stated"
    predicted: PredictedLatency | None = None
    runs: int = 200


def write_bundle(folder: Path, winner: Winner, choices: Choices) -> ModelCard:
    """Write and check all files; where one fails or a limit is broken, the folder is as it was.

    Args:
        folder: new, empty, or an older export.
        winner: a trained network and where it came from.
        choices: target, data types and what else was asked for.

    Raises:
        ExportError: the folder cannot be written, a file disagrees with the network, an operator that the target
            lacks, or a limit that is broken, with by how much.
        ConfigError: a data type that the target does not run.
    """
    types = data_types_of(choices)
    target = choices.target
    if target is not None:
        refuse_unsupported(winner.network.graph, target)
    with draft_of(folder, (*FILES.values(), *TEXTS)) as draft:
        made = [_write_float32(draft / FILES["float32"], winner, choices)]
        values = _measures(winner, made[0].path, "float32" if target is None else target.data_types[0])
        refuse_excess(target, values)
        made += [_write_reduced(data_type, draft, winner, choices) for data_type in types if data_type != "float32"]
        if target is not None:
            preferred = draft / FILES[target.data_types[0]]
            check_file(preferred, target)
            values["model_bytes"] = preferred.stat().st_size
            refuse_excess(target, values)
        card = make_card(winner, made, target=target, values=values, licence=choices.licence,
                         predicted=choices.predicted, runs=choices.runs)  # fmt: skip
        _write_texts(draft, winner, card)
    return card


def data_types_of(choices: Choices) -> tuple[DataType, ...]:
    """Float32, which the others are compared with, those that were asked for, and the one that the target prefers.

    Raises:
        ConfigError: one was asked for that the target does not run.
    """
    target = choices.target
    if target is not None:
        unknown = [name for name in choices.data_types if name not in target.data_types]
        if unknown:
            raise ConfigError(
                f"target {target.name}: expected data types among {', '.join(target.data_types)}, got "
                f"{', '.join(unknown)}; leave the option out or choose another target"
            )
    wanted = {"float32", *choices.data_types, *(target.data_types[:1] if target is not None else ())}
    if choices.tuning_epochs and "int8" not in wanted:
        raise ConfigError("--qat: expected an int8 file to be asked for, got none; add --int8")
    return tuple(name for name in FILES if name in wanted)


def refuse_excess(target: Target | None, values: Mapping[str, int]) -> None:
    """Compare with a target's limits.

    Args:
        target: None has no limits.
        values: by the limit's name; limits without a value are not looked at.

    Raises:
        ExportError: at least one is broken; all are named, with by how much.
    """
    limits = {} if target is None else target.limits.model_dump(exclude_none=True)
    faults = [
        f"expected at most {limit:,} {name}, got {values[name]:,}, {values[name] - limit:,} too many"
        for name, limit in limits.items()
        if name in values and values[name] > limit
    ]
    if target is not None and faults:
        raise ExportError(
            f"target {target.name}: {'; '.join(faults)}; nothing was written: search a smaller network, or choose "
            "another target or data type"
        )


def _measures(winner: Winner, path: Path, data_type: DataType) -> dict[str, int]:
    found = cost(winner.network.graph)
    return {
        "macs": found.macs,
        "num_parameters": found.num_parameters,
        "peak_bytes": peak_bytes(path, data_type),
    }


def _write_float32(path: Path, winner: Winner, choices: Choices) -> Made:
    target = choices.target
    is_static = choices.is_static or (target is not None and target.runtime in STATIC_RUNTIMES)
    exporter = partial(export_onnx, is_static=is_static)
    metadata = {"space": winner.space, "genotype": winner.genotype, "run": winner.run, "licence": choices.licence}
    report = export_checked(winner.network, winner.dataset, path, exporter, metadata)
    method = "as trained" + (", one image at a time" if is_static else ", any number of images at a time")
    return Made(path, "float32", method, report["max_deviation"])


def _write_reduced(data_type: DataType, draft: Path, winner: Winner, choices: Choices) -> Made:
    source, path = draft / FILES["float32"], draft / FILES[data_type]
    if data_type == "float16":
        return write_float16(source, path, winner)
    return write_int8(source, path, winner, target=choices.target, tuning_epochs=choices.tuning_epochs)


def _write_texts(draft: Path, winner: Winner, card: ModelCard) -> None:
    contents: dict[str, str] = {
        "card.json": card.model_dump_json(indent=2) + "\n",
        "card.md": page(card),
        "labels.txt": "".join(f"{label}\n" for label in labels(winner.dataset.class_names)),
        "preprocessing.json": json.dumps(preprocessing(winner.dataset), indent=2) + "\n",
        "infer.py": (files("export") / "templates" / SCRIPT).read_text(encoding="utf-8"),
    }
    for name in TEXTS:
        (draft / name).write_text(contents[name], encoding="utf-8")


def labels(names: Sequence[str]) -> list[str]:
    """Names of classes, each without line breaks, so that one can be a line.

    >>> labels(["cat", "guinea\\npig"])
    ['cat', 'guinea pig']
    """
    return [" ".join(name.split()) for name in names]
