"""The targets that come with nasengine, and what reading a user's own says of its faults."""

import pytest

from nasengine.errors import ConfigError, UnknownNameError
from nasengine.graph import GraphBuilder, cost
from nasengine.targets import built_in_targets, load_target, read_target
from nasengine.targets.reading import _built_in_files

NAMES = (
    "any-onnx", "edgegpu", "edgetpu", "mcu-256k", "mcu-512k", "mcu-64k", "mlperf-tiny-ic", "phone-cpu", "raspi4",
    "x86-1core",
)  # fmt: skip


def test_all_targets_are_there_under_the_names_of_their_files():
    assert tuple(built_in_targets()) == NAMES
    assert sorted(entry.name for entry in _built_in_files()) == sorted(f"{name}.toml" for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_target_says_where_its_facts_are_from(name):
    target = load_target(name)
    assert target.sources
    assert (target.latency is None) == (name.startswith("m") or name in ("any-onnx", "phone-cpu"))


def test_latency_is_measured_on_this_machine_alone_and_predicted_for_three_boards():
    targets = built_in_targets()
    measured = [name for name, target in targets.items() if target.latency and target.latency.measured]
    predicted = {name: target.latency.model for name, target in targets.items() if target.latency}
    assert measured == ["x86-1core"]
    assert predicted == {"edgegpu": "edgegpu", "edgetpu": "edgetpu", "raspi4": "raspi4", "x86-1core": None}


def test_microcontrollers_and_the_edge_tpu_take_int8_alone():
    only_int8 = {name for name, target in built_in_targets().items() if target.data_types == ("int8",)}
    assert only_int8 == {"edgetpu", "mcu-64k", "mcu-256k", "mcu-512k", "mlperf-tiny-ic"}
    assert load_target("mcu-64k").bytes_per_value == 1
    for kilobytes, flash in ((256, 1024), (512, 2048)):
        limits = load_target(f"mcu-{kilobytes}k").limits
        assert limits.peak_bytes == (kilobytes - 16) * 1024
        assert limits.model_bytes == (flash - 64) * 1024


def test_macs_of_mlperf_tiny_are_those_of_its_reference_network():
    builder = GraphBuilder()
    node = builder.add("conv", builder.input((3, 32, 32)), name="stem", channels=16, kernel=3, padding=1)
    for stage, channels in enumerate((16, 32, 64)):
        settings = {"channels": channels, "kernel": 3, "padding": 1}
        first = builder.add("conv", node, name=f"{stage}a", **settings, stride=1 + (stage > 0))
        second = builder.add("conv", first, name=f"{stage}b", **settings)
        shortcut = builder.add("conv", node, name=f"{stage}s", channels=channels, stride=2) if stage else node
        node = builder.add("add", shortcut, second, name=f"{stage}+")
    logits = builder.add("linear", builder.add("mean", node, name="mean", axes=(1, 2)), name="logits", features=10)
    assert cost(builder.build(logits)).macs == load_target("mlperf-tiny-ic").limits.macs


def test_unknown_names_are_answered_with_a_guess(tmp_path):
    with pytest.raises(UnknownNameError, match="target 'raspi5' is unknown; known: .*; did you mean 'raspi4'?"):
        load_target("raspi5")
    with pytest.raises(ConfigError, match="expected a TOML file, got: No such file"):
        load_target(str(tmp_path / "none.toml"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("title = 'b'", "name: field required"),
        ("name = 'a'\ntitle = 'b'\ncolour = 1", "colour: extra inputs are not permitted, got 1"),
        ("name = 'a'\ntitle = 'b'\nlimits = {macs = 0}", "limits.macs: .* greater than or equal to 1, got 0"),
        ("name = 'a'\ntitle = 'b'\nlimits = {macs = 0x" + "f" * 9_000 + "}", "got a number of 36000 bits"),
        ("a." * 2_000 + "b = 1", "a: extra inputs are not permitted, got a table of 1"),
        ("a = " + "[" * 9_000, "expected TOML, got: maximum recursion depth"),
        ("name = 'a'\ntitle = \"\\u0007\"", "title: .*pattern"),
        ("name = 'a'\ntitle = 'b'\nlatency = {model = \"\\u0000.json\"}", "latency.model: .*pattern"),
        ("name = 'a'\ntitle = 'b'\nlatency = {}", "latency: expected either the name of a model or measured = true"),
        ("# " + "a" * 20_000, "expected at most 20000 bytes, got 20002"),
        ("name = 'a'\ntitle = 'b'\noperators = ['Add', 'Add']", "operators: expected each value once, got Add"),
    ],
)
def test_faults_are_named(tmp_path, content, message):
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_target(path)
    assert len(str(caught.value)) < 1000


def test_look_up_tables_count_from_the_folder_of_the_file(tmp_path, monkeypatch):
    (tmp_path / "own.toml").write_text("name = 'own'\ntitle = 'b'\n[latency]\nmodel = 'tables/own.json'")
    monkeypatch.chdir(tmp_path)
    assert load_target("own.toml").latency.model == str(tmp_path / "tables" / "own.json")
