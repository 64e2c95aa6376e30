"""Cards say what was measured, and nothing that was not."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from export.card import (
    DataCard,
    FileCard,
    LimitCard,
    MeasuredLatency,
    ModelCard,
    OriginCard,
    PredictedLatency,
    TargetCard,
    read_card,
)  # fmt: skip
from export.card_page import page
from nasengine.errors import ExportError


def latency(p50_ms: float) -> MeasuredLatency:
    return MeasuredLatency(
        p50_ms=p50_ms, p95_ms=2 * p50_ms, runs=200, warm_up=20, threads=1, cpu="CPU_1", system="Linux x86_64",
        onnxruntime="1.32.0", load_average=0.5, process_bytes=12_345_678,
    )  # fmt: skip


def file(name: str, data_type: str, size: int, **changes) -> FileCard:
    values = {
        "name": name, "data_type": data_type, "size_bytes": size, "sha256": "ab" * 32, "test_accuracy": 0.97,
        "top1_agreement": 1.0, "max_deviation": None, "validation_drop": None, "method": "somehow", "latency": None,
    }  # fmt: skip
    return FileCard(**{**values, **changes})


def card(**changes) -> ModelCard:
    values = {
        "space": "nasbench201", "genotype": "|nor_conv_3x3~0|+|none~0|skip~1|", "num_parameters": 56_674,
        "macs": 463_680, "peak_bytes": {"float32": 10_248, "int8": 2_562},
        "data": DataCard(name="digits", image_shape=(1, 8, 8), num_train=1025, num_test=359),
        "classes": ("cat", "dog"), "licence": "CC0",
        "preprocessing": {"shape": [1, 8, 8], "colours": "L", "divisor": 255.0, "mean": [0.25], "std": [0.5]},
        "files": (
            file("model.onnx", "float32", 1000, max_deviation=3e-6, latency=latency(0.10)),
            file("model.int8.onnx", "int8", 290, test_accuracy=0.96, latency=latency(0.15), validation_drop=0.001),
        ),
        "target": None,
        "made": OriginCard(run="B-run", seed=7, budget="quick", weights_sha256="cd" * 32, versions={"torch": "2.13"}),
    }  # fmt: skip
    return ModelCard(**{**values, **changes})


def test_a_page_shows_both_files_side_by_side():
    text = page(card())
    assert "| model.onnx | float32 | 1,000 | 0.9700 | 100.00% | 10,248 |" in text
    assert "| model.int8.onnx | int8 | 290 | 0.9600 | 100.00% | 2,562 |" in text
    assert "| model.int8.onnx | 0.150 | 0.300 | 12,345,678 |" in text
    assert "Measured on CPU_1 (Linux x86_64), onnxruntime 1.32.0, 1 thread, one image at a time, 200 runs" in text
    for wanted in ("    |nor_conv_3x3~0|+|none~0|skip~1|", "cat, dog", "weights: CC0", "seed 7", "torch 2.13",
                   "ab" * 32, "at most 3.0e-06", "1025 images", "mean [0.25]"):  # fmt: skip
        assert wanted in text


@pytest.mark.parametrize(("p50_ms", "words"), [
    (0.15, "slower on the machine that measured it (0.150 ms against 0.100 ms)"),
    (0.104, "as fast on the machine that measured it"),
    (0.05, "faster on the machine that measured it (0.050 ms against 0.100 ms)"),
    (None, "speed not measured"),
])  # fmt: skip
def test_speed_is_what_was_measured(p50_ms, words):
    other = file("model.int8.onnx", "int8", 290, latency=p50_ms and latency(p50_ms), test_accuracy=0.98)
    found = card(files=(card().files[0], other))
    assert found.notes == (
        f"model.int8.onnx against model.onnx: 1.00 points of test accuracy more, 0.29x the size, {words}"
        + ("." if words.endswith((")", "measured")) else " (0.104 ms against 0.100 ms)."),
    )
    assert words in page(found)
    assert ("faster" in page(found)) == (p50_ms == 0.05)


def test_a_large_drop_offers_training_with_int8():
    other = file("model.int8.onnx", "int8", 290, validation_drop=0.012)
    assert "it lost 1.20 points, more than 0.5: try --qat" in card(files=(card().files[0], other)).notes[0]
    assert "--qat" not in card().notes[0]


def test_latency_of_a_target_is_measured_predicted_or_unknown():
    limits = (LimitCard(name="model_bytes", limit=2_000, value=290),)
    target = TargetCard(name="raspi4", title="Raspberry Pi 4", runtime="onnxruntime", data_types=("int8",),
                        limits=limits, is_this_machine=False, predicted=None)  # fmt: skip
    text = page(card(target=target))
    assert "| bytes of the file | 2,000 | 290 | yes |" in text
    assert "Latency on this target: not measured, and no model predicts it." in text
    predicted = PredictedLatency(latency_ms=12.5, by="raspi4 of HW-NAS-Bench", within_percent=8)
    text = page(card(target=target.model_copy(update={"predicted": predicted})))
    assert "12.500 ms, predicted by raspi4 of HW-NAS-Bench, within 8.0 % as a rule; not measured." in text
    assert "counts as this target" in page(card(target=target.model_copy(update={"is_this_machine": True})))
    assert "## Latency\n\nNot measured." in page(card(files=(file("model.onnx", "float32", 10),)))


def test_names_of_users_are_no_markup():
    names = ("a|b", "<img src=x>", "[link](http://x)", "two\nlines")
    text = page(card(classes=(*names, *map(str, range(100))), licence="`x`"))
    assert r"a\|b, \<img src=x\>, \[link\](http://x), two lines, 0" in text
    assert "and 74 more in labels.txt" in text
    assert r"\`x\`" in text


def test_cards_come_back_from_their_files(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(card().model_dump_json())
    assert read_card(path) == card()
    content = json.loads(path.read_text())
    assert (content["format"], content["version"]) == ("nasengine model card", 1)
    path.write_text(json.dumps({**content, "version": 2}))
    with pytest.raises(ExportError, match=re.escape("version: expected a model card of version 1")):
        read_card(path)
    with pytest.raises(ExportError, match="could not be read"):
        read_card(tmp_path / "missing.json")


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_other_files_are_no_cards(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("card") / "card.json"
    path.write_bytes(content)
    with pytest.raises(ExportError, match="expected a model card"):
        read_card(path)
