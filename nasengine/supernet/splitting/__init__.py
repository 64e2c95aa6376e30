"""Splitting a supernet where candidate operations disagree about the weights that they share."""

from nasengine.supernet.splitting.cell_parts import split_cells
from nasengine.supernet.splitting.few_shot import SplitTraining
from nasengine.supernet.splitting.gradient_matching import score_edges
from nasengine.supernet.splitting.kinds import SplitKind
from nasengine.supernet.splitting.partition import Partition, best_partition, normalized_cut, within_group_sum
from nasengine.supernet.splitting.schedule import PRESETS, SplitBy, SplitSchedule
from nasengine.supernet.splitting.scores import EdgeScore, GradientMatching, best_edge, score_choices

__all__ = [
    "PRESETS",
    "EdgeScore",
    "GradientMatching",
    "Partition",
    "SplitBy",
    "SplitKind",
    "SplitSchedule",
    "SplitTraining",
    "best_edge",
    "best_partition",
    "normalized_cut",
    "score_choices",
    "score_edges",
    "split_cells",
    "within_group_sum",
]
