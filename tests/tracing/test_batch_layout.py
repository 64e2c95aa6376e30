"""Where the batch is, against torch itself."""

import random

import pytest
import torch
from torch import Tensor

from nasengine.errors import GraphError
from nasengine.tracing.batch_layout import BatchLayout, NotExpressibleError


def images_of(x: Tensor, layout: BatchLayout) -> Tensor:
    """The tensor with its batch in front, split off the dimension that it is merged with."""
    outer = layout.shape[layout.axis] // layout.batch // layout.inner
    split = x.reshape(*x.shape[: layout.axis], outer, layout.batch, layout.inner, *x.shape[layout.axis + 1 :])
    return split.movedim(layout.axis + 1, 0).reshape(layout.batch, *layout.image_shape)


@pytest.mark.parametrize("seed", range(20))
def test_the_batch_is_followed_through_reshapes_and_transposes(seed):
    """Each image is numbered; after every step the layout must find all values of an image together."""
    rng = random.Random(seed)
    x = torch.arange(3).reshape(3, 1, 1, 1).expand(3, 4, 5, 2).contiguous()
    layout = BatchLayout((3, 4, 5, 2), batch=3)
    for _ in range(8):
        order = rng.sample(range(x.ndim), x.ndim)
        x, layout = x.permute(order).contiguous(), layout.permuted(order)
        if x.ndim > 2:
            first = rng.randrange(x.ndim - 1)
            x = x.flatten(first, first + 1)
        else:
            x = x.unflatten(layout.axis, (layout.shape[layout.axis] // layout.inner, layout.inner)).unsqueeze(0)
        layout = layout.reshaped(tuple(x.shape))
        assert images_of(x, layout).flatten(1).unique(dim=1).flatten().tolist() == [0, 1, 2]


def test_images_that_are_taken_apart_are_refused():
    with pytest.raises(NotExpressibleError, match="expected a reshape that keeps images apart"):
        BatchLayout((4, 6), batch=4).reshaped((8, 3)).reshaped((3, 8))
    with pytest.raises(NotExpressibleError, match="along another dimension than the batch"):
        BatchLayout((4, 6), batch=4).place(0)
    with pytest.raises(GraphError, match="expected a shape of 24 values"):
        BatchLayout((4, 6), batch=4).reshaped((5, 5))


def test_a_batch_of_one_may_be_squeezed_away_and_come_back():
    layout = BatchLayout((1, 16, 4), batch=1).removed([0])
    assert layout.image_shape == (16, 4)
    assert layout.inserted([0]).first().image_shape == (16, 4)
