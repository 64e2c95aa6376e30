"""Cells of NAS-Bench-201 as members see them, with a target that features and colours tell."""

import random
from dataclasses import replace

import numpy
import pytest

from predictors.gennape.inputs import ColourVocabulary, InputRanks, MemberInputs
from predictors.graph_batch import GraphBatch
from predictors.graph_features import graph_features
from search_spaces.nasbench201 import NASBENCH201


@pytest.fixture(scope="session")
def cell_batch():
    rng = random.Random(0)
    settings = replace(NASBENCH201.defaults, cells=1)
    return GraphBatch.of([NASBENCH201.to_graph(NASBENCH201.sample(rng), settings) for _ in range(120)])


@pytest.fixture(scope="session")
def cells(cell_batch):
    features = graph_features(cell_batch)
    proxies = numpy.random.default_rng(0).normal(size=(len(cell_batch), 2)) + features[:, :1]
    colours = ColourVocabulary.fit(cell_batch).counts(cell_batch)
    inputs = MemberInputs(features, colours, proxies, None, features[:, 1])
    return InputRanks.fit(inputs).apply(inputs)


@pytest.fixture(scope="session")
def targets(cell_batch):
    columns = graph_features(cell_batch)
    target = columns[:, 1] + 0.3 * columns[:, 6]
    return (target - target.mean()) / target.std()
