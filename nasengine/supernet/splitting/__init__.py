"""Splitting a supernet where candidate operations disagree about the weights that they share."""

from nasengine.supernet.splitting.few_shot import FewShotTraining, SplitSchedule
from nasengine.supernet.splitting.gradient_matching import EdgeScore, GradientMatching, score_edge
from nasengine.supernet.splitting.partition import Partition, best_partition, normalized_cut, within_group_sum

__all__ = [
    "EdgeScore",
    "FewShotTraining",
    "GradientMatching",
    "Partition",
    "SplitSchedule",
    "best_partition",
    "normalized_cut",
    "score_edge",
    "within_group_sum",
]
