"""Evening out channels changes weights and no answer."""

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from export.channel_scales import even_out_channels


def two_convolutions(*, groups: int = 4, read_between: bool = False) -> onnx.ModelProto:
    rng = numpy.random.default_rng(0)
    first = rng.standard_normal((4, 4 // groups, 3, 3)).astype("float32") * numpy.float32(
        [1, 100, 0.01, 0]
    ).reshape(4, 1, 1, 1)  # fmt: skip
    stored = {"first": first, "bias": rng.standard_normal(4), "second": rng.standard_normal((5, 4, 1, 1))}
    outputs = ["y", "between"] if read_between else ["y"]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "first", "bias"], ["between"], group=groups),
            helper.make_node("Conv", ["between", "second"], ["y"]),
        ],
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4, 5, 5])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value.astype("float32"), name) for name, value in stored.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def answer(model: onnx.ModelProto) -> numpy.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": numpy.random.default_rng(1).standard_normal((2, 4, 5, 5), dtype="float32")})[0]


def test_channels_have_largest_weights_of_one_and_answers_stay():
    model = two_convolutions()
    before = answer(model)
    assert even_out_channels(model.graph) == 1
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    assert numpy.abs(stored["first"]).max((1, 2, 3)).tolist() == [1, 1, 1, 0]
    numpy.testing.assert_allclose(answer(model), before, rtol=1e-4, atol=1e-4)


def test_other_pairs_stay_as_they_are():
    for model in (two_convolutions(groups=1), two_convolutions(read_between=True)):
        before = model.SerializeToString()
        assert even_out_channels(model.graph) == 0
        assert model.SerializeToString() == before
