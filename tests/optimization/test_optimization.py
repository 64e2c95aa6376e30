"""Learning rates, guarded steps, stored optimizers."""

import math

import pytest
import torch

from nasengine.errors import TrainingError
from nasengine.optimization import cosine, guarded_step, load_optimizer, make_sgd, pack_optimizer
from nasengine.protocols import TrainingRecipe
from nasengine.randomness import seed_of, seeded_generator


def test_cosine_is_torchs():
    recipe = TrainingRecipe(epochs=7, learning_rate=0.3, final_learning_rate=0.01)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 7, 0.01)
    for epoch in range(7):
        assert cosine(recipe, epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_changes_nothing(value):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    with pytest.raises(TrainingError, match=r"here: expected a finite loss, got (nan|inf) at learning rate 0.1"):
        guarded_step((weight * value).sum(), optimizer, where="here")
    with pytest.raises(TrainingError, match="expected a finite gradient norm"):
        guarded_step((weight - weight.detach()).sum().abs().sqrt(), optimizer, where="here")  # 0, of infinite slope
    assert weight.tolist() == [1, 1]


def test_gradients_are_clipped():
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    assert guarded_step((weight * torch.tensor([3.0, 4.0])).sum() + 2, optimizer, clip=1.0, where="") == 2.0
    assert weight.tolist() == pytest.approx([-0.6, -0.8])


def test_stored_momenta_go_on_as_before():
    recipe = TrainingRecipe(epochs=1, momentum=0.9)

    def run(stored: bool) -> list[float]:
        torch.manual_seed(0)
        module = torch.nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        optimizer = make_sgd(module.parameters(), recipe)
        for step in range(4):
            if step == 2 and stored:
                tensors = {name: value.clone() for name, value in pack_optimizer(optimizer, "x").items()}
                optimizer = make_sgd(module.parameters(), recipe)
                load_optimizer(optimizer, tensors, "x")
            guarded_step(module(torch.ones(1, 2, 4, 4)).square().sum(), optimizer, where="")
        return module.weight.flatten().tolist()

    assert run(True) == run(False)


def test_seeds_depend_on_every_part_of_the_key():
    keys = [(0, "a", 1), (0, "a", 2), (0, "b", 1), (1, "a", 1), ("0", "a", 1)]
    assert len({seed_of(*key) for key in keys}) == len(keys)
    assert torch.rand(1, generator=seeded_generator(0, "a")) == torch.rand(1, generator=seeded_generator(0, "a"))
