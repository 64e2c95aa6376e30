"""Networks from none of our spaces, written as plain torch code: what users bring from outside."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut (He et al., 2016, arXiv 1512.03385)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(after)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        y += self.shortcut(x)
        return self.relu(y)


class SmallResNet(nn.Module):
    """The eighteen layers of a ResNet-18 with an eighth of its channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        widths, blocks = (8, 16, 32, 64), []
        for stage, width in enumerate(widths):
            for index in range(2):
                before = width if index or not stage else widths[stage - 1]
                blocks.append(ResidualBlock(before, width, 2 if stage and not index else 1))
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class SqueezeExcite(nn.Module):
    """Channels weighted by what their means say (Hu et al., 2018, arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, channels // 4, 1)
        self.expand = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.expand(F.relu(self.reduce(self.pool(x)))))


class MobileBlock(nn.Module):
    """An inverted residual (Howard et al., 2019, arXiv 1905.02244)."""

    def __init__(self, before: int, after: int, stride: int, activation: type[nn.Module]) -> None:
        super().__init__()
        wide = 4 * before
        self.residual = stride == 1 and before == after
        self.layers = nn.Sequential(
            nn.Conv2d(before, wide, 1, bias=False), nn.BatchNorm2d(wide), activation(),
            nn.Conv2d(wide, wide, 5, stride, 2, groups=wide, bias=False), nn.BatchNorm2d(wide), activation(),
            SqueezeExcite(wide), nn.Conv2d(wide, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x) if self.residual else self.layers(x)


class SmallMobileNet(nn.Module):
    """Depthwise convolutions, squeeze-excite, hard-swish, hard-sigmoid and dropout, as in MobileNetV3."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.blocks = nn.Sequential(
            MobileBlock(8, 8, 1, nn.ReLU), MobileBlock(8, 16, 2, nn.ReLU6), MobileBlock(16, 16, 1, nn.Hardswish)
        )
        self.head = nn.Sequential(nn.Linear(16, 32), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(32, 10))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean([2, 3]))


class AttentionBlock(nn.Module):
    """A transformer block with torch's fused attention function, its heads split by hand."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(query, key, value)
        x = x + self.out(y.transpose(1, 2).reshape(batch, tokens, width))
        return x + self.mlp(self.norm2(x))


class SelfAttention(nn.Module):
    """``nn.MultiheadAttention`` on its own, which works with the batch second and its heads in the batch."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return x + self.attention(y, y, y, need_weights=False)[0]


class SmallViT(nn.Module):
    """A vision transformer (Dosovitskiy et al., 2021, arXiv 2010.11929).

    Args:
        block: one transformer block of width 32 with 4 heads.
        class_token: whether a learned token, rather than the mean, feeds the classifier.
    """

    def __init__(self, block: nn.Module, class_token: bool) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 8, 8)
        self.token = nn.Parameter(torch.zeros(1, 1, 32)) if class_token else None
        self.position = nn.Parameter(torch.zeros(1, 16 + class_token, 32))
        self.block, self.norm, self.classifier = block, nn.LayerNorm(32), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        if self.token is not None:
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)
        x = self.norm(self.block(x + self.position))
        return self.classifier(x[:, 0] if self.token is not None else x.mean(1))


def foreign_networks() -> dict[str, nn.Module]:
    """One of each, in eval mode, for images of 3 x 32 x 32; no weight is zero, as exporters drop those that are."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True, activation="gelu")
    networks = {
        "resnet": SmallResNet(),
        "mobilenet": SmallMobileNet(),
        "vit_fused": SmallViT(AttentionBlock(32, 4), class_token=True),
        "vit_attention": SmallViT(SelfAttention(32, 4), class_token=True),
        "vit_encoder": SmallViT(layer, class_token=False),
    }
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for network in networks.values():
            for value in (*network.parameters(), *(item for item in network.buffers() if item.is_floating_point())):
                value.uniform_(0.1, 0.2, generator=generator)
    return {name: network.eval() for name, network in networks.items()}
