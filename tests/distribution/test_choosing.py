"""What --workers may say."""

import pytest
import torch

from nasengine.distribution.choosing import read_choice, threads_for
from nasengine.distribution.ray_workers import RayWorkers
from nasengine.errors import ConfigError, WorkerError
from nasengine.pipeline import SearchSettings
from nasengine.report.progress import LineProgress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", (False, 2, None)),
        ("ray:3", (True, 3, None)),
        ("ray://10.0.0.7:10001", (True, None, "ray://10.0.0.7:10001")),
        ("ray://[::1]:10001", (True, None, "ray://[::1]:10001")),
    ],
)
def test_choices_are_read(text, expected):
    assert tuple(read_choice(text)) == expected


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "two", "1.5", "99999", "ray:", "ray:0", "ray://", "ray://host", "dask:2"]
)
def test_other_choices_are_refused(text):
    with pytest.raises(
        ConfigError, match=r"--workers: expected a number from 1 to 1024, ray, ray:NUMBER or ray://HOST"
    ):
        read_choice(text)


def test_processes_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(4)
    assert [threads_for(text) for text in (None, "2", "ray:3", "9", "ray://host:1")] == [4, 2, 1, 1, 4]
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    assert threads_for("2") == 4


def test_ray_without_a_login_is_refused(monkeypatch):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    settings = SearchSettings.read({"space": "nasbench201", "data": "digits"}, "test")
    with pytest.raises(ConfigError, match="expected RAY_AUTH_MODE=token, got 'disabled'; without a login anyone"):
        RayWorkers(None, 1, settings, LineProgress())


@pytest.mark.parametrize("address", ["ray://127.0.0.1:1", "ray://127.0.0.1:99999", "ray://no-such-host.invalid:10001"])
def test_a_cluster_that_does_not_answer_is_refused_at_once(monkeypatch, address):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    settings = SearchSettings.read({"space": "nasbench201", "data": "digits"}, "test")
    with pytest.raises(WorkerError, match=f"--workers {address}: expected a Ray cluster that can be reached"):
        RayWorkers(address, None, settings, LineProgress())
