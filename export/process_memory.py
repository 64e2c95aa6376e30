"""Peak memory of a file in a process of its own: what the runtime takes for it, without this process's other things."""

import json
import subprocess
import sys
from pathlib import Path

from nasengine.errors import ExportError

PATIENCE_SECONDS = 300
_SCRIPT = """
import json, sys
import numpy, onnxruntime

def peak():
    try:  # ru_maxrss of a new process begins with that of the process that started it; this does not
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

path, threads, shape = json.loads(sys.argv[1])
if path:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.inter_op_num_threads, options.intra_op_num_threads = 1, threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    dtype = numpy.float16 if entry.type == "tensor(float16)" else numpy.float32
    session.run(None, {entry.name: numpy.ones((1, *shape), dtype)})
print(peak())
"""


def empty_process_bytes() -> int:
    """Peak of a process that loads the runtime and no file."""
    return _peak_bytes("", 1, ())


def peak_memory_bytes(path: Path, shape: tuple[int, ...], threads: int, empty: int) -> int:
    """Peak of a fresh process that loads a file and runs it once, beyond ``empty``, that of one without the file.

    Args:
        path: of the ONNX file.
        shape: of one image.
        threads: of the runtime.
        empty: from ``empty_process_bytes``.

    Raises:
        ExportError: the process failed.
    """
    return max(0, _peak_bytes(str(path.resolve()), threads, shape) - empty)


def _peak_bytes(path: str, threads: int, shape: tuple[int, ...]) -> int:
    call = [sys.executable, "-c", _SCRIPT, json.dumps([path, threads, shape])]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise ExportError(f"peak memory of {path}: expected a process that ends, got: {fault}") from fault
    if done.returncode != 0 or not done.stdout.strip().isdecimal():
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ExportError(f"peak memory of {path}: expected a run of the file, got: {reason}")
    return int(done.stdout)
