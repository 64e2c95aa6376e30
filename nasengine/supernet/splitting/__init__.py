"""Splitting a supernet where candidate operations disagree about the weights that they share."""

from nasengine.supernet.splitting.few_shot import SplitTraining
from nasengine.supernet.splitting.gradient_matching import EdgeScore, GradientMatching, best_edge, score_edges
from nasengine.supernet.splitting.partition import Partition, best_partition, normalized_cut, within_group_sum
from nasengine.supernet.splitting.schedule import PRESETS, SplitBy, SplitSchedule

__all__ = [
    "PRESETS",
    "EdgeScore",
    "GradientMatching",
    "Partition",
    "SplitBy",
    "SplitSchedule",
    "SplitTraining",
    "best_edge",
    "best_partition",
    "normalized_cut",
    "score_edges",
    "within_group_sum",
]
