"""What a run says of where it was made."""

import platform

import torch

from nasengine.pipeline.environment import environment, record_environment
from nasengine.store import RunStore


def test_an_environment_has_versions_and_a_processor():
    found = environment("cpu")
    assert found["versions"]["torch"] == torch.__version__
    assert found["versions"]["Python"] == platform.python_version()
    assert found["processor"]
    assert found["accelerator"] is None


def test_only_changes_are_recorded(tmp_path):
    store = RunStore.create(tmp_path / "run", {"space": "nasbench201"})
    record_environment(store, "cpu")
    record_environment(store, "cpu")
    assert len(list(store.find("environment"))) == 1
    store.record("environment", **{**environment("cpu"), "processor": "another"})
    record_environment(store, "cpu")
    assert [event["processor"] == "another" for event in store.find("environment")] == [False, True, False]
    store.close()
