"""Event files, read back by TensorBoard itself."""

import pytest

from nasengine.integrations.tensorboard import EventFiles
from nasengine.report.progress import LineProgress, RunProgress


def test_numbers_of_every_step_are_in_the_files(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    progress = EventFiles(LineProgress())
    assert isinstance(progress, RunProgress)
    progress.begin("supernet", 2, 0)
    progress.advance("supernet", 0, {"loss": 9.0})  # before there is a folder
    progress.write_below(tmp_path)
    progress.advance("supernet", 1, {"loss": 0.5, "done": True, "decisions": [], "name": "x"})
    progress.stop()
    found = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert found.Tags()["scalars"] == ["supernet/loss"]
    assert [(event.step, event.value) for event in found.Scalars("supernet/loss")] == [(1, 0.5)]
