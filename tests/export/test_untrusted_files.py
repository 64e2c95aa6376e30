"""ONNX files from anywhere, damaged or not: opening and checking them ends well or in an ExportError."""

from pathlib import Path

import numpy
import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from export.operators import check_file
from export.sessions import open_session, run_images
from nasengine.errors import ExportError
from nasengine.targets import load_target

unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = """net (float[n, 3, 8, 8] images) => (float[n, 4] logits) {
    a = Conv <pads = [1, 1, 1, 1]> (images, w)
    b = Relu (a)
    c = GlobalAveragePool (b)
    logits = Flatten (c)
}"""


def network() -> onnx.ModelProto:
    graph = onnx.parser.parse_graph(TEXT)
    weights = numpy.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(numpy.float32)
    graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)


WHOLE = network().SerializeToString()


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("files") / "net.onnx"


def outcomes(path: Path) -> list[str]:
    """What becomes of a file in both functions; anything but an ExportError gets through to the test."""
    found = []
    for use in (lambda: open_session(path, threads=1), lambda: check_file(path, load_target("mcu-64k"))):
        try:
            use()
            found.append("fine")
        except ExportError as fault:
            found.append("refused" if str(fault).isprintable() else f"unprintable: {fault}")
    return found


def test_the_whole_file_is_fine(path):
    path.write_bytes(WHOLE)
    assert outcomes(path) == ["fine", "fine"]
    assert run_images(open_session(path), torch.zeros(2, 3, 8, 8)).shape == (2, 4)


@unhurried
@given(length=st.integers(0, len(WHOLE) - 1))
def test_files_cut_short(path, length):
    path.write_bytes(WHOLE[:length])
    assert outcomes(path)[0] == "refused"


@unhurried
@given(flips=st.lists(st.integers(0, 8 * len(WHOLE) - 1), min_size=1, max_size=8))
def test_flipped_bits(path, flips):
    content = bytearray(WHOLE)
    for bit in flips:
        content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert set(outcomes(path)) <= {"fine", "refused"}


@unhurried
@given(content=st.binary(max_size=300))
def test_bytes(path, content):
    path.write_bytes(content)
    assert outcomes(path)[0] == "refused"


@pytest.mark.parametrize(
    "location", ["none.bin", "/etc/passwd", "../away.bin", "\0", "", "x" * 5000, "a\nb", "\u202egpj.bin"]
)
def test_weights_elsewhere(path, location):
    model = network()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path.write_bytes(model.SerializeToString())
    assert outcomes(path) == ["refused", "fine"]  # operators are named without weights


@pytest.mark.parametrize("name", ["none.onnx", "", "a\0.onnx", "x" * 5000])
def test_no_files(tmp_path, name):
    assert outcomes(tmp_path / name) == ["refused", "refused"]
