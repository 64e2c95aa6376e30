"""Elastic supernets: the weights of the largest network of a space, of which all others use a part."""

from nasengine.supernet.elastic.kernels import KernelTransform
from nasengine.supernet.elastic.leaves import ElasticLeaves
from nasengine.supernet.elastic.phases import Phase, sandwich, shrinking
from nasengine.supernet.elastic.sorting import sort_channels
from nasengine.supernet.elastic.splitting import ElasticParts, score_layers
from nasengine.supernet.elastic.supernet import ElasticSupernet
from nasengine.supernet.elastic.training import ElasticTraining

__all__ = [
    "ElasticLeaves",
    "ElasticParts",
    "ElasticSupernet",
    "ElasticTraining",
    "KernelTransform",
    "Phase",
    "sandwich",
    "score_layers",
    "shrinking",
    "sort_channels",
]
