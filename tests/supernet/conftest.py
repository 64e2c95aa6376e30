"""Small datasets and supernets that all tests of training share."""

import pytest
import torch

from nasengine.cells import CellSpace
from nasengine.data import Augmentation, Split
from nasengine.data.dataset import ImageDataset, make_dataset
from nasengine.protocols import NetworkConfig
from nasengine.supernet import ArchitectureWeights, Supernet
from search_spaces.nasbench201 import NASBENCH201


def stripes(count: int = 160, size: int = 8) -> ImageDataset:
    """Four kinds of stripes with noise: a task that small networks learn within a few epochs."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 4
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    patterns = torch.stack([rows % 2, columns % 2, (rows + columns) % 2, rows // (size // 2)]).float()
    noise = torch.rand(count, size, size, generator=generator)
    images = (180 * patterns[labels] + 70 * noise).to(torch.uint8)[:, None]
    return make_dataset("stripes", Split(images, labels), None, ("a", "b", "c", "d"), augmentation=Augmentation())


@pytest.fixture(scope="session")
def dataset() -> ImageDataset:
    return stripes()


@pytest.fixture
def config(dataset) -> NetworkConfig:
    return NetworkConfig(dataset.num_classes, dataset.image_shape, channels=4, cells=1, searching=True)


@pytest.fixture
def space() -> CellSpace:
    return NASBENCH201


@pytest.fixture
def supernet(space, config) -> Supernet:
    return Supernet(space, config, seed=0)


@pytest.fixture
def alphas(space) -> ArchitectureWeights:
    return ArchitectureWeights(space.topology, seed=0)
