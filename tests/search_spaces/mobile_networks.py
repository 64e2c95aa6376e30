"""Inverted residuals and their networks written by hand in torch, to compare with, and what modules cost by hooks."""

import torch
import torch.nn.functional as F
from torch import nn


def by_eight(channels):
    """Multiples of 8, at most a tenth below."""
    rounded = max(8, (int(channels) + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def conv(inputs, outputs, kernel, activation=None, **settings):
    parts = [nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False, **settings), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*parts, *([activation()] if activation else []))


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first = nn.Conv2d(channels, by_eight(channels // 4), 1)
        self.second = nn.Conv2d(by_eight(channels // 4), channels, 1)

    def forward(self, x):
        return x * F.relu6(self.second(self.first(x.mean((2, 3), keepdim=True)).relu()) + 3) / 6


class Residual(nn.Module):
    """Widen, spread, squeeze, narrow."""

    def __init__(self, inputs, outputs, kernel, expansion, *, stride, activation, squeezes=False):
        super().__init__()
        width = by_eight(inputs * expansion)
        parts = [conv(inputs, width, 1, activation)] if expansion != 1 else []
        parts += [conv(width, width, kernel, activation, stride=stride, groups=width)]
        parts += [Squeeze(width)] if squeezes else []
        self.body = nn.Sequential(*parts, conv(width, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return self.body(x) + x if self.adds else self.body(x)


class Resize(nn.Module):
    def __init__(self, side):
        super().__init__()
        self.side = side

    def forward(self, x):
        return F.interpolate(x, size=(self.side, self.side), mode="bilinear", align_corners=False)


def mobilenet_v3(stages, side, num_classes, colours=3):
    """Once-for-all's network of full width, all strides; ``stages`` list (kernel, expansion) of each block."""
    settings = [(24, 2, nn.ReLU, False), (40, 2, nn.ReLU, True), (80, 2, nn.Hardswish, False)]
    settings += [(112, 1, nn.Hardswish, True), (160, 2, nn.Hardswish, True)]
    layers = [Resize(side), conv(colours, 16, 3, nn.Hardswish, stride=2)]
    layers += [Residual(16, 16, 3, 1, stride=1, activation=nn.ReLU)]
    width = 16
    for blocks, (channels, stride, activation, squeezes) in zip(stages, settings, strict=True):
        for place, (kernel, expansion) in enumerate(blocks):
            layers.append(
                Residual(
                    width, channels, kernel, expansion,
                    stride=1 if place else stride, activation=activation, squeezes=squeezes,
                )
            )  # fmt: skip
            width = channels
    layers += [conv(160, 960, 1, nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 1280, bias=False)]
    return nn.Sequential(*layers, nn.Hardswish(), nn.Linear(1280, num_classes))


def counted(network, image_shape):
    """(multiply-accumulates, parameters) of one image, counted at what convolutions and linear layers put out."""
    macs = []

    def count(module, _, output):
        weight = module.weight
        macs.append(output[0].numel() * weight[0].numel())

    hooks = [
        module.register_forward_hook(count)
        for module in network.modules()
        if isinstance(module, (nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        network.eval()(torch.zeros(1, *image_shape))
    for hook in hooks:
        hook.remove()
    return sum(macs), sum(weight.numel() for weight in network.parameters())
