"""JSON of computation graphs, both ways. What is read is untrusted: sizes are limited and everything is checked."""

import json
from dataclasses import asdict, fields
from typing import Any

from nasengine.errors import GraphError
from nasengine.graph.computation_graph import ComputationGraph, Operation
from nasengine.graph.shapes import KINDS

FORMAT_VERSION = 1
MAX_TEXT_BYTES = 64 * 2**20
MAX_NODES = 200_000
_DEFAULTS = {field.name: field.default for field in fields(Operation)}


def to_json(graph: ComputationGraph) -> str:
    """Text of a graph; settings at their neutral value are left out."""
    nodes = []
    for operation, sources, name in zip(graph.operations, graph.inputs, graph.names, strict=True):
        settings = {key: value for key, value in asdict(operation).items() if value != _DEFAULTS[key]}
        nodes.append({"name": name, "inputs": sources, **settings})
    return json.dumps({"version": FORMAT_VERSION, "nodes": nodes, "outputs": graph.outputs})


def from_json(text: str) -> ComputationGraph:
    """Read a graph back.

    Raises:
        GraphError: the text is too large, is not JSON of a known version, or does not describe a graph.
    """
    if len(text) > MAX_TEXT_BYTES:
        raise GraphError(f"graph JSON: expected at most {MAX_TEXT_BYTES} characters, got {len(text)}")
    try:
        content = json.loads(text)
        version, nodes, outputs = content["version"], content["nodes"], content["outputs"]
    except (ValueError, KeyError, TypeError, RecursionError) as fault:
        raise GraphError(f"graph JSON: expected an object with version, nodes and outputs, got {fault!r}") from fault
    if version != FORMAT_VERSION:
        raise GraphError(f"graph JSON: expected version {FORMAT_VERSION}, got {version!r}; update nasengine")
    if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
        raise GraphError(f"graph JSON: expected a list of at most {MAX_NODES} nodes")
    try:
        graph = ComputationGraph(
            tuple(_operation(node) for node in nodes),
            tuple(tuple(int(source) for source in node["inputs"]) for node in nodes),
            tuple(int(output) for output in outputs),
            tuple(str(node["name"]) for node in nodes),
        )
    except (KeyError, TypeError, ValueError) as fault:
        raise GraphError(f"graph JSON: a node is malformed: {fault}") from fault
    graph.check()
    return graph


def _operation(node: dict[str, Any]) -> Operation:
    settings = {key: _frozen(value) for key, value in node.items() if key not in ("name", "inputs")}
    operation = Operation(**{"input_shapes": (), **settings})
    if operation.kind not in KINDS and operation.kind != "input":
        raise ValueError(f"kind {operation.kind!r} is unknown")
    return operation


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value
