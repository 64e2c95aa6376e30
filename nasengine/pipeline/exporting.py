"""A trained network as a file for the runtime, compared with the network on test images."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nasengine import __version__
from nasengine.data import ImageDataset
from nasengine.data.batches import normalize
from nasengine.graph import ComputationGraph, cost, prune
from nasengine.network import GraphNetwork
from nasengine.protocols import Exporter

MAX_VERIFIED_IMAGES = 2048


def export_checked(
    network: GraphNetwork, dataset: ImageDataset, path: Path, exporter: Exporter, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Write a file and check it; classes, preprocessing and version are added to what it says of itself.

    Raises:
        ExportError: the file cannot be written, or the runtime says something else than the network.
    """
    deployed = deployed_network(network)
    images = normalize(dataset.test.images[:MAX_VERIFIED_IMAGES].cpu(), dataset)
    content = {
        **metadata,
        "classes": json.dumps(dataset.class_names),
        "preprocessing": json.dumps(preprocessing(dataset)),
        "num_parameters": str(cost(deployed.graph).num_parameters),
        "nasengine": __version__,
    }
    report = asdict(exporter(deployed, images, path, content))
    return {**report, "path": str(report["path"]), "sha256": file_hash(path)}


def deployed_network(network: GraphNetwork) -> GraphNetwork:
    """The network as it is exported: on the CPU, without what its answer does not need."""
    return with_weights_of(network, prune(network.graph)).cpu().eval()


def preprocessing(dataset: ImageDataset) -> dict[str, Any]:
    """What turns the bytes of an image into the network's input: ``(byte / divisor - mean) / std``, by channel.

    ``shape`` is (channels, height, width); ``colours`` is what the image library calls one or three channels.
    """
    return {
        "shape": list(dataset.image_shape),
        "colours": "L" if dataset.image_shape[0] == 1 else "RGB",
        "divisor": 255.0,
        "mean": list(dataset.mean),
        "std": list(dataset.std),
    }


def file_hash(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def without_auxiliary(network: GraphNetwork) -> GraphNetwork:
    """The network as it is used: with its first output only."""
    outputs = network.graph.outputs
    return network if len(outputs) == 1 else with_weights_of(network, prune(network.graph, outputs[:1]))


def with_weights_of(network: GraphNetwork, graph: ComputationGraph) -> GraphNetwork:
    """A network of another graph that takes its weights, by name, from an existing one."""
    smaller = GraphNetwork(graph)
    state = network.state_dict()
    smaller.load_state_dict({key: state[key] for key in smaller.state_dict()})
    return smaller.to(next(iter(state.values())).device).train(network.training)
