"""A small elastic space, and a supernet of it that is away from where it begins."""

import copy
from dataclasses import replace

import pytest
import torch

from nasengine.protocols import NetworkConfig
from nasengine.supernet.elastic import ElasticSupernet
from nasengine.supernet.training import recalibrate
from search_spaces.mobilenet import MOBILENET, Stage


@pytest.fixture(scope="session")
def elastic_space():
    """Two stages, the second with squeeze and excitation; everything else is once-for-all's."""
    stages = (Stage(16, 3, 2, "relu"), Stage(32, 3, 2, "hard_swish", squeezes=True))
    return MOBILENET.with_layout(replace(MOBILENET.layout, stages=stages, min_blocks=1, feature_channels=64))


@pytest.fixture(scope="session")
def elastic_config():
    return NetworkConfig(5, (2, 16, 16), channels=16)


@pytest.fixture(scope="session")
def disturbed(elastic_space, elastic_config):
    """Weights, matrices and statistics away from where they begin."""
    supernet = ElasticSupernet(elastic_space, elastic_config, seed=3)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for value in supernet.state_dict().values():
            if value.is_floating_point():
                value += 0.02 * torch.rand(value.shape, generator=generator)
    largest, images = elastic_space.largest(), torch.randn(32, 2, 16, 16, generator=generator)
    recalibrate(supernet, lambda batch: supernet(batch, largest), [images])  # or values would vanish on their way
    return supernet


@pytest.fixture
def supernet(disturbed):
    return copy.deepcopy(disturbed)
