"""Spaces of inverted residuals: ProxylessNAS and once-for-all, with the sizes given by a layout."""

from search_spaces.mobilenet.chain import PROXYLESSNAS, MobileChain
from search_spaces.mobilenet.costs import CostTable, NetworkCost, cost_table
from search_spaces.mobilenet.genotype import InvertedResidual, MobileGenotype
from search_spaces.mobilenet.layout import MobileLayout, Stage, fitted, stage_list
from search_spaces.mobilenet.space import MOBILENET, MobileSpace

__all__ = [
    "MOBILENET",
    "PROXYLESSNAS",
    "CostTable",
    "InvertedResidual",
    "MobileChain",
    "MobileGenotype",
    "MobileLayout",
    "MobileSpace",
    "NetworkCost",
    "Stage",
    "cost_table",
    "fitted",
    "stage_list",
]
