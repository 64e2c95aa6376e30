"""The learngene: one set of weights for each stage, from which networks of any depth begin.

Wang et al., 2022 ("Learngene"), and Xia et al., 2024, arXiv 2404.16897 (SWS): what is passed on is not a trained
network but its condensed part. One safetensors file holds the tensors; its header holds the manifest: where they come
from, the stages, and what was measured.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nasengine.checkpoint import pack, unpack
from nasengine.errors import ConfigError, StoreError
from nasengine.graph.computation_graph import ComputationGraph
from nasengine.initialization.auxiliary_network import AuxiliaryNetwork, slots_of
from nasengine.initialization.residual import scale_residuals
from nasengine.initialization.stages import DepthRule, Stage, places_in
from nasengine.network import GraphNetwork
from nasengine.protocols import TaskState
from nasengine.store.artifacts import write_file

FORMAT = 1
MAX_SIZE = 4096
MAX_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class Learngene:
    """Weights by stage.

    Args:
        stages: in order.
        tensors: named by stage, position in it where they are private, and node.
        manifest: JSON values: source run, genotype, metrics, lineage.
    """

    stages: tuple[Stage, ...]
    tensors: Mapping[str, Tensor]
    manifest: Mapping[str, Any]

    @classmethod
    def of(cls, auxiliary: AuxiliaryNetwork, manifest: Mapping[str, Any]) -> "Learngene":
        """What an auxiliary network has learned."""
        return cls(tuple(auxiliary.stages), auxiliary.tensors(), dict(manifest))

    @property
    def num_values(self) -> int:
        """Numbers that are stored, statistics of batch norms included."""
        return sum(tensor.numel() for tensor in self.tensors.values())

    def expand(
        self, graph: ComputationGraph, *, rule: DepthRule = "even", rescale: bool = False, seed: int = 0
    ) -> GraphNetwork:
        """A descendant: a network whose units begin with the weights of their stages; afterwards they are its own.

        Args:
            graph: of the same architecture at any depth.
            rule: how units are dealt to stages.
            rescale: scale the last batch norm of residual units by how often the stage was repeated in the auxiliary
                network against here, which keeps the sum of their updates; not part of SWS.
            seed: of weights that the learngene does not have, of which there are none.

        Raises:
            ConfigError: a depth or an architecture that the learngene cannot fill.
        """
        network = GraphNetwork(graph, seed)
        places = places_in(graph, self.stages, rule)
        with torch.no_grad():
            for slot in slots_of(graph, places, network):
                target = getattr(network.nodes[slot.module], slot.tensor)
                source = self.tensors.get(slot.key)
                if source is None or source.shape != target.shape:
                    raise ConfigError(
                        f"learngene, {slot.key}: expected a tensor of shape {tuple(target.shape)}, got "
                        f"{'none' if source is None else tuple(source.shape)}; it belongs to another architecture"
                    )
                target.copy_(source)
        if rescale:
            scale_residuals(network, places)
        return network

    def save(self, path: Path) -> None:
        """Write one safetensors file.

        Raises:
            StoreError: it cannot be written.
        """
        values = {"format": FORMAT, "stages": [asdict(stage) for stage in self.stages], "manifest": dict(self.manifest)}
        write_file(path, pack(TaskState(dict(self.tensors), values)))

    @classmethod
    def load(cls, path: Path) -> "Learngene":
        """Read a learngene back; the file may come from anywhere.

        Raises:
            ConfigError: no such file, a truncated one, one of another version, or one that holds something else.
        """
        where = f"learngene {path}"
        try:
            size = path.stat().st_size
            if size > MAX_BYTES:
                raise ConfigError(f"{where}: expected at most {MAX_BYTES} bytes, got {size}")
            state = unpack(path.read_bytes())
        except (OSError, StoreError) as fault:
            raise ConfigError(
                f"{where}: expected a safetensors file that 'nasengine init' wrote, whole and readable, got {fault}"
            ) from fault
        return cls(_stages(state.values, where), state.tensors, _manifest(state.values, where))


def _stages(values: Mapping[str, Any], where: str) -> tuple[Stage, ...]:
    found = values.get("format")
    if found != FORMAT:
        raise ConfigError(
            f"{where}: expected format {FORMAT}, got {found!r}; make it again with this version of nasengine"
        )
    stages = values.get("stages")
    rows: list[dict[str, Any]] = stages if isinstance(stages, list) else []
    if not rows or not all(_is_stage(row) for row in rows):
        raise ConfigError(f"{where}: expected stages with name, signature and a size of 1 to {MAX_SIZE}, got others")
    return tuple(Stage(**row) for row in rows)


def _is_stage(row: object) -> bool:
    if not isinstance(row, dict) or set(row) != {"name", "signature", "size"}:
        return False
    texts = all(isinstance(row[name], str) for name in ("name", "signature"))
    return texts and type(row["size"]) is int and 1 <= row["size"] <= MAX_SIZE


def _manifest(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    manifest = values.get("manifest")
    if not isinstance(manifest, dict):
        raise ConfigError(f"{where}: expected a manifest, got none")
    return manifest


def num_stored(network: nn.Module) -> int:
    """Numbers that a file of a network holds: parameters and statistics of batch norms, without counters."""
    tensors = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() for tensor in tensors if tensor.is_floating_point())
