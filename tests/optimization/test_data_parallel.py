"""Several processes that share every batch, against one process; real processes over gloo."""

import math
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from nasengine.optimization import check_batches, share_of, sum_over_processes, weighted_mean
from nasengine.optimization.data_parallel import average_gradients, own_generator

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("shared_training.py")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    """What two processes have at the end of the same program."""
    folder = tmp_path_factory.mktemp("shared")
    places = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(folder / f"{rank}.safetensors")], stderr=subprocess.PIPE, text=True,
            env={**os.environ, **places, "RANK": str(rank), "PYTHONPATH": str(ROOT)},
        )
        for rank in range(2)
    ]  # fmt: skip
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    return [load_file(folder / f"{rank}.safetensors") for rank in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> dict[str, torch.Tensor]:
    """What one process has."""
    path = tmp_path_factory.mktemp("alone") / "0.safetensors"
    command = [sys.executable, str(SCRIPT), str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return load_file(path)


@pytest.mark.parametrize("count", [16, 17])
def test_gradients_are_those_of_the_whole_batch(outcomes, alone, count):
    """Also where the shares are unequal: 9 and 8 images."""
    for mine in outcomes:
        assert mine[f"images/{count}"].item() == [8, 8 + count % 2][int(mine["rank"]) == 0]
        for name in (f"gradient/{count}", f"clipped/{count}", f"loss/{count}"):
            assert mine[name].abs().max() > 0
            torch.testing.assert_close(mine[name], alone[name], rtol=0, atol=1e-6)


def test_parameters_of_other_paths_keep_no_gradient(outcomes):
    assert all(mine["is_unused_none"].item() == 1 for mine in outcomes)


def test_running_statistics_are_averaged(outcomes):
    """Those of each process follow from its own images; afterwards both have their mean."""
    first, second = outcomes
    assert (first["own_mean"] - second["own_mean"]).abs().min() > 1e-4
    for mine in outcomes:
        torch.testing.assert_close(mine["mean"], (first["own_mean"] + second["own_mean"]) / 2)
        torch.testing.assert_close(mine["mean_after_divergence"], mine["mean"] + 1.0)


def test_all_stop_where_one_diverges(outcomes, alone):
    """One process has an image that is not a number; the other would have gone on."""
    assert [mine["own_loss_is_finite"].item() for mine in outcomes] == [0, 1]
    assert all(mine["raised"].item() == 1 and math.isnan(mine["value"].item()) for mine in outcomes)
    assert all(torch.equal(mine["weight_before"], mine["weight_after"]) for mine in outcomes)


def test_chance_is_shared_or_ones_own(outcomes):
    first, second = outcomes
    assert not torch.equal(first["own_chance"], second["own_chance"])
    assert torch.equal(first["chance_after"], second["chance_after"])


def test_differences_are_noticed_everywhere(outcomes):
    for mine in outcomes:
        assert mine["agreed"].item() == 1
        assert mine["noticed_content"].item() == mine["noticed_paths"].item() == mine["noticed_few"].item() == 1


def test_what_the_first_process_measures_counts_for_all(outcomes):
    for mine in outcomes:
        assert mine["first"].item() == 5.0
        assert mine["latency"].tolist() == [[1.5, 1.5, math.inf], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("training", ["single-path", "fixed", "darts", "darts-second-order", "drnas", "network"])
def test_supernets_and_networks_stay_equal_and_learn(outcomes, alone, training):
    """Bit for bit between the processes, with odd batches; near one process, whose batch norms see all images."""
    first, second = outcomes
    names = [name for name in first if name.startswith(f"{training}/state/")]
    assert names
    assert all(torch.equal(first[name], second[name]) for name in names)
    losses = first[f"{training}/losses"]
    assert torch.equal(losses, second[f"{training}/losses"])
    assert losses[-1] < losses[0] - 0.05
    assert losses[0].item() == pytest.approx(alone[f"{training}/losses"][0].item(), abs=0.15)


def test_one_step_of_the_second_order_is_that_of_one_process(outcomes, alone):
    """Without batch norm; inner step, direction and finite difference are all of the whole batches."""
    for mine in outcomes:
        assert alone["second_order"].abs().max() > 1e-4
        torch.testing.assert_close(mine["second_order"], alone["second_order"], rtol=1e-3, atol=1e-6)


def test_alone_nothing_changes():
    images, labels = torch.rand(5, 3), torch.arange(5)
    generator = torch.Generator()
    (part, own), share = share_of((images, labels))
    assert part is images
    assert own is labels
    assert share == 1.0
    assert own_generator(generator) is generator
    assert weighted_mean([images], 1.0)[0] is images
    assert sum_over_processes(F.mse_loss(images, images + 2)) == pytest.approx(4.0)
    check_batches(3, 2, "nothing is shared")
    weight = torch.nn.Parameter(images)
    average_gradients([weight], 1.0)
    assert weight.grad is None
