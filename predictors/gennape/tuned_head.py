"""GENNAPE's own way with few labels: the heads of the other spaces, trained on (Mills et al., 2023, section 4)."""

import copy
from collections.abc import Mapping

import numpy
import torch
from torch import nn

from predictors.gennape.fuzzy_clusters import FuzzyClusters
from predictors.gennape.head_members import HeadMember, head_data
from predictors.gennape.heads import ClusterHeads, head_loss, head_scores
from predictors.gennape.inputs import MemberInputs
from predictors.gennape.zero_shot import ZeroShotEnsemble

EPOCHS = 100
BATCH_SIZE = 32
LEARNING_RATE = 3e-3


class TunedHead:
    """Implements Member: one head for each fuzzy cluster of embeddings, 100 epochs on the labels, as in the paper.

    Args:
        head: where training begins; it is left as it is.
        clusters: of embeddings; they stay.
    """

    def __init__(self, head: ClusterHeads, clusters: FuzzyClusters | None) -> None:
        self._first, self._clusters = head, clusters
        self._head: ClusterHeads | None = None

    @classmethod
    def of(cls, ensemble: ZeroShotEnsemble) -> "TunedHead":
        """Begin with the first head of the ensemble that predicts accuracies, or with a new one."""
        for member in ensemble.members.values():
            if isinstance(member, HeadMember) and isinstance(member.head, ClusterHeads):
                return cls(member.head, member.clusters)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return cls(ClusterHeads(ensemble.encoder.config.embedding_size, 1), None)

    def fit(self, inputs: MemberInputs, targets: numpy.ndarray, seed: int) -> None:
        """Train on; inputs need embeddings."""
        assert inputs.embedding is not None
        head = copy.deepcopy(self._first)
        data = head_data(inputs.embedding, self._clusters, targets, numpy.zeros(len(targets)))
        optimizer = torch.optim.AdamW(head.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
        generator = torch.Generator().manual_seed(seed)
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(data), generator=generator).split(BATCH_SIZE):
                optimizer.zero_grad()
                head_loss(head, data.rows(rows)).backward()
                nn.utils.clip_grad_norm_(head.parameters(), 1.0)
                optimizer.step()
        self._head = head

    def predict(self, inputs: MemberInputs) -> tuple[numpy.ndarray, numpy.ndarray | None]:
        """Mean, (num_networks,); no standard deviation."""
        assert inputs.embedding is not None
        unknown = numpy.zeros(len(inputs))
        found = head_scores(self._head or self._first, head_data(inputs.embedding, self._clusters, unknown, unknown))
        return found.numpy().astype(float), None

    def tensors(self) -> Mapping[str, numpy.ndarray]:
        """Everything, as named arrays."""
        head = (self._head or self._first).state_dict()
        found = {f"head.{name}": value.numpy() for name, value in head.items()}
        if self._clusters is not None:
            found |= {"centers": self._clusters.centers, "fuzzifier": numpy.array([self._clusters.fuzzifier])}
        return found

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, numpy.ndarray]) -> "TunedHead":
        """Back from named arrays."""
        weights = {
            name.removeprefix("head."): torch.from_numpy(numpy.array(found))
            for name, found in tensors.items()
            if name.startswith("head.")
        }
        num_clusters, size, width = weights["hidden"].shape
        head = ClusterHeads(size, num_clusters, width)
        head.load_state_dict(weights)
        clusters = None
        if "centers" in tensors:
            clusters = FuzzyClusters(tensors["centers"], float(tensors["fuzzifier"][0]))
        return cls(head, clusters)
