"""What the tests of shared training run in each of their processes, or in one alone; outcomes go to a file."""

import math
import os
import sys
from dataclasses import astuple
from datetime import timedelta

import numpy
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from nasengine.data import Augmentation, Split
from nasengine.data.dataset import ImageDataset, make_dataset
from nasengine.errors import ConfigError, TrainingError, WorkerError
from nasengine.evaluation import NetworkTraining
from nasengine.network import GraphNetwork
from nasengine.optimization import (
    averaged_statistics,
    check_batches,
    check_same,
    from_first_process,
    guarded_step,
    make_sgd,
    own_generator,
    share_of,
)
from nasengine.optimization.data_parallel import average_buffers, average_gradients
from nasengine.protocols import NetworkConfig, Prediction, TrainingRecipe
from nasengine.supernet import ArchitectureWeights, Supernet
from nasengine.supernet.training import ARCHITECTURE_TRAININGS, DifferentiableTraining, SinglePathTraining
from nasengine.supernet.training.unrolled import unrolled_gradients
from nasengine.targets import FirstProcessLatency
from search_spaces.nasbench201 import NASBENCH201

RANK = int(os.environ.get("RANK", "0"))
IS_SHARED = "RANK" in os.environ
CONFIG = NetworkConfig(4, (1, 8, 8), 8, 1)
WINNER = NASBENCH201.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
GRAPH = NASBENCH201.to_graph(WINNER, CONFIG)
RECIPE = TrainingRecipe(epochs=3, batch_size=32, learning_rate=0.05, final_learning_rate=0.001)


def main() -> None:
    torch.set_num_threads(1)
    if IS_SHARED:
        dist.init_process_group("gloo", timeout=timedelta(seconds=60))
    found = gradients() | statistics() | divergence() | second_order() | trainings()
    if IS_SHARED:
        found |= chance() | agreement()
        dist.destroy_process_group()
    save_file({name: value.contiguous() for name, value in found.items()}, sys.argv[1])


def number(value: float) -> Tensor:
    return torch.tensor(float(value))


def is_raised(kind: type[Exception], work) -> Tensor:
    try:
        work()
    except kind:
        return number(1)
    return number(0)


def images(count: int = 16) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    return torch.randn(count, 3, 8, 8, generator=generator), torch.arange(count) % 4


def plain_network() -> nn.Module:
    """Without batch norm."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(216, 4)).to(
        memory_format=torch.channels_last
    )


def gradients() -> dict[str, Tensor]:
    """Of a step on one batch, clipped or not; a further parameter takes no part."""
    found = {"rank": number(RANK)}
    for count in (16, 17):
        for name, clip in (("gradient", None), ("clipped", 0.1)):
            network, unused = plain_network(), nn.Parameter(torch.ones(3))
            optimizer = torch.optim.SGD([*network.parameters(), unused], lr=0.1)
            (part, labels), share = share_of(images(count))
            loss = F.cross_entropy(network(part), labels)
            value = guarded_step(loss, optimizer, clip=clip, where="test", share=share)
            found[f"{name}/{count}"] = torch.cat([weight.grad.flatten() for weight in network.parameters()])
            found |= {f"loss/{count}": number(value), f"images/{count}": number(len(labels))}
            found["is_unused_none"] = number(unused.grad is None)
    return found


def statistics() -> dict[str, Tensor]:
    norm = nn.BatchNorm2d(3)
    (part, _), _ = share_of(images())
    norm(part)
    found = {"own_mean": norm.running_mean.clone()}
    average_buffers(norm)
    found["mean"] = norm.running_mean.clone()
    try:
        with averaged_statistics(norm):
            norm.running_mean += 2 * RANK
            raise TrainingError("all diverged")
    except TrainingError:
        return found | {"mean_after_divergence": norm.running_mean.clone()}


def divergence() -> dict[str, Tensor]:
    """The first image, of the first process, is not a number."""
    network = plain_network()
    batch, labels = images()
    batch[0] = torch.nan
    (part, own), share = share_of((batch, labels))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    found = {"weight_before": network[0].weight.detach().clone()}
    loss = F.cross_entropy(network(part), own)
    value = float("nan")
    try:
        value = guarded_step(loss, optimizer, where="test", share=share)
        raised = 0
    except TrainingError as fault:
        raised = int("got nan" in str(fault))
    return found | {
        "own_loss_is_finite": loss.isfinite().float(), "raised": number(raised), "value": number(value),
        "weight_after": network[0].weight.detach().clone(),
    }  # fmt: skip


def chance() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(5 + RANK, generator=own_generator(generator))[:5]
    return {"own_chance": own, "chance_after": torch.rand(5, generator=generator)}


def agreement() -> dict[str, Tensor]:
    check_same("content", b"equal")
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    weights[RANK].sum().backward()
    return {
        "agreed": number(1),
        "noticed_content": is_raised(WorkerError, lambda: check_same("content", b"%d" % RANK)),
        "noticed_paths": is_raised(WorkerError, lambda: average_gradients(weights, 0.5)),
        "noticed_few": is_raised(ConfigError, lambda: share_of(images(3)))
        * is_raised(ConfigError, lambda: check_batches(7, 6, "test")),
        "first": from_first_process(number(5 + RANK)),
        "latency": torch.from_numpy(numpy.stack(astuple(FirstProcessLatency(OwnLatency()).predict([GRAPH] * 3)))),
    }


class OwnLatency:
    """Another in each process, and endless for the last network."""

    def predict(self, graphs):
        return Prediction(
            numpy.array([1.5 + RANK] * (len(graphs) - 1) + [math.inf]), numpy.full(len(graphs), 0.25 * RANK)
        )


def stripes(count: int = 170) -> ImageDataset:
    """Four kinds of stripes with noise, in halves that make odd batches."""
    labels = torch.arange(count) % 4
    rows, columns = torch.meshgrid(torch.arange(8), torch.arange(8), indexing="ij")
    patterns = torch.stack([rows % 2, columns % 2, (rows + columns) % 2, rows // 4]).float()
    noise = torch.rand(count, 8, 8, generator=torch.Generator().manual_seed(0))
    pixels = (180 * patterns[labels] + 70 * noise).to(torch.uint8)[:, None]
    return make_dataset("stripes", Split(pixels, labels), None, ("a", "b", "c", "d"), augmentation=Augmentation())


def supernet_of(dataset: ImageDataset) -> Supernet:
    return Supernet(NASBENCH201, NetworkConfig(4, dataset.image_shape, channels=4, cells=1, searching=True), seed=0)


def second_order() -> dict[str, Tensor]:
    """With the running statistics, so that images do not depend on one another."""
    supernet = supernet_of(stripes()).double().eval()
    alphas = ArchitectureWeights(NASBENCH201.topology, seed=0).double()
    halves = [(torch.randn(n, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(n)),
               torch.arange(n) % 4) for n in (17, 19)]  # fmt: skip
    optimizer = make_sgd(supernet.parameters(), RECIPE)
    _, found = unrolled_gradients(supernet, alphas, lambda detach: alphas.mixture(detach=detach), *halves, optimizer)
    return {"second_order": torch.cat([gradient.flatten() for gradient in found])}


def trainings() -> dict[str, Tensor]:
    """Three epochs of each kind of training."""
    dataset, found = stripes(), {}
    tasks = {"single-path": SinglePathTraining(supernet_of(dataset), dataset, RECIPE, seed=0)}
    for name in ("fixed", "darts", "darts-second-order", "drnas"):
        architecture = ARCHITECTURE_TRAININGS[name]
        alphas = ArchitectureWeights(NASBENCH201.topology, 0, None, architecture.relaxation)
        tasks[name] = DifferentiableTraining(
            supernet_of(dataset), alphas, dataset, RECIPE, architecture=architecture, seed=0
        )
    recipe = TrainingRecipe(epochs=3, batch_size=32, learning_rate=0.05, drop_path=0.1, gradient_clip=5.0)
    tasks["network"] = NetworkTraining("winner", GraphNetwork(GRAPH, 0), dataset, recipe, seed=0)
    for name, task in tasks.items():
        found[f"{name}/losses"] = torch.tensor([task.run_step(step)["loss"] for step in range(3)])
        found |= {f"{name}/state/{key}": value.detach().clone() for key, value in task.state().tensors.items()}
    return found


if __name__ == "__main__":
    main()
