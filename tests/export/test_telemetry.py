"""onnxruntime, opened by us, tells nobody about it."""

import os
import subprocess
import sys

SCRIPT = "import os, export.sessions; print(os.listdir(os.environ['TMPDIR']), os.environ['ORT_DISABLE_TELEMETRY'])"


def seen(tmp_path, **own):
    """What is in the temporary folder after we have imported onnxruntime, and the switch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=200,
        env={**kept, "TMPDIR": str(tmp_path), **own},
    )  # fmt: skip
    return process.stdout.strip()


def test_no_identifier_is_left_behind(tmp_path):
    assert seen(tmp_path) == "[] 1"


def test_who_wants_to_tell_may(tmp_path):
    assert seen(tmp_path, ORT_DISABLE_TELEMETRY="0").endswith(" 0")
