"""Small networks and images to measure proxies of."""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import nn

from predictors.zero_cost import random_batch
from search_spaces.nasbench201 import NASBENCH201

BATCH = random_batch((3, 6, 6), num_classes=4, size=5, seed=1)
CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
EMPTY = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
SMALL = replace(NASBENCH201.defaults, channels=4, cells=1, num_classes=4, image_shape=(3, 8, 8))


class Small(nn.Module):
    """One convolution, batch norm, ReLU and classifier, with the ReLU that it is given."""

    def __init__(self, relu) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), relu
        self.head = nn.Linear(4, 4)
        self.conv.to(memory_format=torch.channels_last)

    def forward(self, x):
        return self.head(self.relu(self.norm(self.conv(x))).mean((2, 3)))


RELUS = (
    nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, lambda x: x.relu_(), lambda x: x.clamp(min=0),
    nn.Threshold(0, 0),
)  # fmt: skip


def cell_network(text: str = CELL, **changes) -> nn.Module:
    """A small network of NAS-Bench-201."""
    return NASBENCH201.build(NASBENCH201.parse(text), replace(SMALL, **changes), seed=3)
