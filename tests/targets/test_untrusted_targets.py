"""Whatever a target file holds, reading it ends in a target or in one clear sentence."""

from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nasengine.errors import ConfigError, UnknownNameError
from nasengine.targets import Target, load_target, read_target

KEYS = st.sampled_from([*Target.model_fields, "model_bytes", "peak_bytes", "macs", "model", "measured", "threads"])
PLAIN = (
    st.text(max_size=20)
    | st.integers()
    | st.integers(min_value=10**80, max_value=10**90)
    | st.floats()
    | st.booleans()
    | st.dates(min_value=date(1900, 1, 1))
    | st.sampled_from(["int8", "Conv", "onnxruntime", "raspi4", "table.json"])
)
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=8
)


def toml(value: object) -> str:
    """A value in TOML's inline notation."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(letter):08x}" for letter in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + "}"
    return str(value)


def outcome(path: Path, content: bytes) -> Target | str:
    """A target, or what is wrong; anything but a ConfigError gets through to the test."""
    path.write_bytes(content)
    try:
        return read_target(path)
    except ConfigError as fault:
        return str(fault)


def ends_well(path: Path, content: bytes) -> bool:
    found = outcome(path, content)
    return isinstance(found, Target) or (found.startswith("target ") and len(found) < 20_000)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("targets") / "own.toml"


@unhurried
@given(content=st.binary(max_size=200))
def test_bytes(path, content):
    assert ends_well(path, content)


@unhurried
@given(content=st.text(alphabet="abc.=[]{}\"'\n#,0123456789_-+eEx:TZ \\u", max_size=120))
def test_text_that_looks_like_toml(path, content):
    assert ends_well(path, content.encode())


@unhurried
@given(fields=st.dictionaries(KEYS, VALUES, max_size=6))
def test_known_keys_with_any_value(path, fields):
    content = "".join(f"{key} = {toml(value)}\n" for key, value in fields.items())
    assert ends_well(path, content.encode())


@unhurried
@given(
    limits=st.dictionaries(st.sampled_from(["model_bytes", "peak_bytes", "macs"]), st.integers(-5, 10**16)),
    operators=st.lists(st.sampled_from(["Conv", "Add", "x y", ""]), max_size=3),
)
def test_targets_that_are_read_keep_what_the_file_says(path, limits, operators):
    """Not all are refused: the others come back with the numbers that were written."""
    content = f"name = 'own'\ntitle = 'Own'\noperators = {toml(operators)}\nlimits = {toml(limits)}\n"
    target = outcome(path, content.encode())
    is_fine = set(operators) <= {"Conv", "Add"} and len(set(operators)) == len(operators)
    sizes_fit = all(1 <= value <= (10**15 if key == "macs" else 2**40) for key, value in limits.items())
    assert isinstance(target, Target) == (is_fine and sizes_fit)
    if isinstance(target, Target):
        assert target.limits.model_dump(exclude_none=True) == limits
        assert list(target.operators) == operators


@unhurried
@given(name=st.text(max_size=40))
def test_names_and_paths(name):
    for given_name in (name, f"{name}\0.toml", f"/nowhere/{name}.toml"):
        with pytest.raises((ConfigError, UnknownNameError)):
            load_target(given_name)
