"""From one trained network to a family of sizes: auxiliary network, learngene, descendants, files.

Steps that the store has already are not repeated, so that the same call starts a family and resumes it.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from nasengine.architecture import Architecture
from nasengine.checkpoint import pack
from nasengine.data import ImageDataset
from nasengine.errors import ConfigError
from nasengine.evaluation import NetworkTraining, accuracy
from nasengine.graph import ComputationGraph, cost
from nasengine.initialization.auxiliary_network import AuxiliaryNetwork
from nasengine.initialization.learngene import Learngene, num_stored
from nasengine.initialization.sizes import check_distinct, resized, sizes_of
from nasengine.initialization.width import check_width, with_width
from nasengine.network import GraphNetwork
from nasengine.pipeline.exporting import export_checked, file_hash
from nasengine.pipeline.family_settings import MAX_SIZE, FamilySettings
from nasengine.pipeline.family_training import auxiliary_training, recalibrate_on, scratch_recipe, tuning_recipe
from nasengine.pipeline.task import Progress, run_once, run_task
from nasengine.pipeline.workers import MEMBER, Part, Work, Workers
from nasengine.protocols import Exporter, NetworkConfig, SearchSpace, TaskState, TrainingRecipe
from nasengine.randomness import seed_of
from nasengine.store import RunStore

TEACHER, AUXILIARY = "teacher", "auxiliary"
"""Tasks that all members need."""
LEARNGENE_NAME = "learngene.safetensors"
COPY_NOISE = 0.02
"""How far copies of a channel are told apart, as a share of a weight's deviation: equal ones would stay equal."""


@dataclass(frozen=True, eq=False)
class Ancestor:
    """The trained network that a family comes from.

    Args:
        space: where its architecture is from.
        architecture: the winner of a search.
        config: size of its network.
        network: trained; the teacher.
        dataset: what it learned from.
        recipe: how.
        lineage: where it comes from, for the manifest.
    """

    space: SearchSpace
    architecture: Architecture
    config: NetworkConfig
    network: GraphNetwork
    dataset: ImageDataset
    recipe: TrainingRecipe
    lineage: dict[str, Any]

    @property
    def own_sizes(self) -> tuple[int, int]:
        """Depth and width."""
        return sizes_of(self.space, self.architecture, self.config)


@dataclass(frozen=True)
class Member:
    """A size of the family."""

    depth: int
    width: int

    @property
    def name(self) -> str:
        """What its files and tasks are called."""
        return f"depth-{self.depth}-width-{self.width}"


class Family:
    """Makes the networks of a family.

    Everything that can be wrong with the sizes shows on construction, before anything is written.

    Args:
        settings: of the family.
        ancestor: where it comes from.
        exporter: writes and checks ONNX files; None writes none.
        progress: is told about every step.
        workers: tune the members elsewhere, if there are any.

    Raises:
        ConfigError: sizes that the architecture cannot have.
    """

    store: RunStore

    def __init__(
        self,
        settings: FamilySettings,
        ancestor: Ancestor,
        exporter: Exporter | None,
        progress: Progress,
        workers: Workers | None = None,
    ) -> None:
        self.settings, self.ancestor, self.exporter, self.progress = settings, ancestor, exporter, progress
        self.workers = workers
        self.members = [
            Member(depth, width) for width in sorted(set(settings.widths)) for depth in sorted(set(settings.depths))
        ]
        own_width = ancestor.own_sizes[1]
        self.width = own_width if own_width in settings.widths else max(settings.widths)
        self._given = None if settings.learngene is None else self._read(Path(settings.learngene))
        self._graphs = {member: self.graph_of(member) for member in self.members}
        own = Member(*ancestor.own_sizes)
        check_distinct({(size.depth, size.width): self.graph_of(size) for size in dict.fromkeys((own, *self.members))})
        for member, graph in self._graphs.items():
            check_width(self.graph_of(replace(member, width=self.width)), graph)
        self._auxiliary_graphs = [self.graph_of(Member(depth, self.width)) for depth in self._auxiliary_depths()]
        self._teacher_size = self._larger_teacher()
        if self._given is None:
            AuxiliaryNetwork(self._auxiliary_graphs, stages=settings.stages)

    def _larger_teacher(self) -> Member | None:
        """Size of the teacher that is trained for the family; None where the ancestor teaches."""
        depth, width = self.settings.teacher_depth, self.settings.teacher_width
        if depth is None and width is None:
            return None
        if self._given is not None:
            raise ConfigError("teacher: expected none beside a learngene, which has learned already, got one")
        own_depth, own_width = self.ancestor.own_sizes
        found = Member(depth or own_depth, width or own_width)
        self.graph_of(found)
        return found

    def _auxiliary_depths(self) -> list[int]:
        """The deepest first: its stages count."""
        depths = sorted(set(self.settings.depths), reverse=True)
        return depths if self.settings.elastic else depths[:1]

    def graph_of(self, member: Member) -> ComputationGraph:
        """The ancestor's architecture at a size."""
        space, config = self.ancestor.space, replace(self.ancestor.config, auxiliary_head=False)
        architecture, config = resized(
            space, self.ancestor.architecture, config, depth=member.depth, width=member.width
        )
        return space.to_graph(architecture, config)

    def run(self, store: RunStore, work: Work | None = None) -> dict[str, Any]:
        """Do everything that the store does not have yet.

        Args:
            store: of the family.
            work: what workers need to know, but for the parts; None does all here.

        Returns:
            The summary, which is also written to the family's folder.
        """
        self.store = store
        torch.set_num_threads(self.settings.threads)
        learngene = self._given or self._learngene(self._train_auxiliary())
        if self.workers is not None and work is not None:
            tasks = {member.name: (member.name, f"scratch-{member.name}") for member in self.members}
            self.workers.do(replace(work, parts=[Part(MEMBER, name, own) for name, own in tasks.items()]))
        rows = [self._member(member, learngene) for member in self.members]
        summary = {
            "family": str(store.folder),
            "lineage": self.ancestor.lineage,
            "settings": self.settings.model_dump(),
            "learngene": self._sizes(learngene),
            "members": rows,
            **self._teachers_figures(),
            "seconds": round(sum(event.get("seconds", 0.0) for event in store.events), 2),
        }
        store.write_summary(summary)
        return summary

    def _read(self, path: Path) -> Learngene:
        """A learngene that is there already; every size must find its weights in it."""
        found = Learngene.load(path)
        genotype = self.ancestor.lineage["genotype"]
        lineage = found.manifest.get("lineage")
        known = lineage.get("genotype") if isinstance(lineage, dict) else None
        if known != genotype:
            raise ConfigError(f"learngene {path}: expected one of the genotype {genotype}, got one of {known}")
        width = found.manifest.get("width")
        if type(width) is not int or not 1 <= width <= MAX_SIZE:
            raise ConfigError(f"learngene {path}: expected the width of its networks in the manifest, got {width!r}")
        self.width = width
        for depth in {member.depth for member in self.members}:
            found.expand(self.graph_of(Member(depth, width)), rule=self.settings.depth_rule)
        return found

    # --- the learngene ----------------------------------------------------------------------------------------------

    def _teacher(self) -> GraphNetwork:
        """Whom the auxiliary network learns from."""
        if self._teacher_size is None:
            return self.ancestor.network
        network = GraphNetwork(self.graph_of(self._teacher_size), seed_of(self.settings.seed, TEACHER))
        network = network.to(self.settings.device)
        self._train(TEACHER, network, replace(self.ancestor.recipe, auxiliary_weight=0.0))
        return network

    def _teachers_figures(self) -> dict[str, Any]:
        """Of a teacher that was trained for the family, for the summary."""
        size = self._teacher_size
        if size is None:
            return {}
        return {"teacher": {**asdict(size), "test_accuracy": self._measured(TEACHER, size, self._teacher())}}

    def _train_auxiliary(self) -> AuxiliaryNetwork:
        network = AuxiliaryNetwork(
            self._auxiliary_graphs, stages=self.settings.stages, seed=seed_of(self.settings.seed, AUXILIARY)
        ).to(self.settings.device)
        ancestor = self.ancestor
        task = auxiliary_training(network, self._teacher(), ancestor.dataset, ancestor.recipe, self.settings)
        run_task(task, AUXILIARY, self.store, self.progress, seed=self.settings.seed)
        return network

    def _learngene(self, auxiliary: AuxiliaryNetwork) -> Learngene:
        last = self.store.last("step", task=AUXILIARY)
        manifest = {
            "lineage": self.ancestor.lineage,
            "settings": self.settings.model_dump(mode="json"),
            "width": self.width,
            "metrics": {} if last is None else last["metrics"],
        }
        learngene = Learngene.of(auxiliary.cpu(), manifest)
        learngene.save(self.store.folder / LEARNGENE_NAME)
        return learngene

    def _sizes(self, learngene: Learngene) -> dict[str, Any]:
        """What initialises the family, against what storing each network would take."""
        each = {member.name: num_stored(GraphNetwork(graph)) for member, graph in self._graphs.items()}
        given = self.settings.learngene
        path = Path(given) if given is not None else self.store.folder / LEARNGENE_NAME
        return {
            "path": str(path), "bytes": path.stat().st_size, "num_values": learngene.num_values,
            "num_values_of_members": sum(each.values()),
            "ratio": round(sum(each.values()) / learngene.num_values, 2),
        }  # fmt: skip

    # --- descendants ------------------------------------------------------------------------------------------------

    def begin(self, member: Member, learngene: Learngene) -> GraphNetwork:
        """A descendant before any training of its own, its batch norms measured on training images."""
        settings = self.settings
        graph = self.graph_of(replace(member, width=self.width))
        network = learngene.expand(graph, rule=settings.depth_rule, rescale=settings.rescale)
        if member.width != self.width:
            noise = COPY_NOISE if member.width > self.width else 0.0
            network = with_width(network, self._graphs[member], noise=noise, seed=settings.seed)
        network = network.to(settings.device)
        recalibrate_on(network, self.ancestor.dataset, settings.seed)
        return network

    def do(self, part: Part, store: RunStore) -> None:
        """Tune and measure a member, as one of the family's workers."""
        self.store = store
        member = next(member for member in self.members if member.name == part.name)
        self._tuned(member, self._given or self._learngene(self._train_auxiliary()))

    def _member(self, member: Member, learngene: Learngene) -> dict[str, Any]:
        network, row = self._tuned(member, learngene)
        row["weights"] = self._weights(member, network)
        if self.exporter is not None:
            row["onnx"] = self._exported(member, network)
        return row

    def _tuned(self, member: Member, learngene: Learngene) -> tuple[GraphNetwork, dict[str, Any]]:
        """A member and its figures."""
        network = self.begin(member, learngene)
        untuned = self._measured("untuned", member, network)
        if self.settings.tuning_epochs:
            self._train(member.name, network, tuning_recipe(self.ancestor.recipe, self.settings))
        row: dict[str, Any] = {
            "name": member.name, "depth": member.depth, "width": member.width,
            **asdict(cost(network.graph)), "untuned_accuracy": untuned,
            "test_accuracy": self._measured("test", member, network),
        }  # fmt: skip
        if self.settings.compare and self.settings.tuning_epochs:
            fresh = GraphNetwork(network.graph, seed_of(self.settings.seed, "scratch")).to(self.settings.device)
            self._train(f"scratch-{member.name}", fresh, scratch_recipe(self.ancestor.recipe, self.settings))
            row["scratch_test_accuracy"] = self._measured("scratch", member, fresh)
        return network, row

    def _train(self, name: str, network: GraphNetwork, recipe: TrainingRecipe) -> None:
        task = NetworkTraining(name, network, self.ancestor.dataset, recipe, seed=self.settings.seed)
        run_task(task, name, self.store, self.progress, seed=self.settings.seed)

    def _measured(self, what: str, member: Member, network: GraphNetwork) -> float:
        """Test accuracy; nothing is decided by it."""
        dataset = self.ancestor.dataset

        def work() -> dict[str, Any]:
            return {"test_accuracy": accuracy(network, dataset.test, dataset)}

        key = {"network": f"{what} {member.name}"}
        return float(run_once("test", key, work, self.store, None)["test_accuracy"])

    def _weights(self, member: Member, network: GraphNetwork) -> str:
        content = pack(TaskState(dict(network.state_dict()), {"member": asdict(member)}))
        return str(self.store.write(f"{member.name}.safetensors", content))

    def _exported(self, member: Member, network: GraphNetwork) -> dict[str, Any]:
        """Export, unless the file that the journal knows is there and unchanged."""
        assert self.exporter is not None
        path = self.store.folder / f"{member.name}.onnx"
        known = self.store.last("export", network=member.name)
        if known is None or file_hash(path) != known["onnx"]["sha256"]:
            report = export_checked(network, self.ancestor.dataset, path, self.exporter, {
                "space": self.ancestor.space.name, "family": member.name,
                "genotype": self.ancestor.space.format(self.ancestor.architecture),
            })  # fmt: skip
            self.store.record("export", network=member.name, onnx=report)
            return report
        return {**known["onnx"], "path": str(path)}
