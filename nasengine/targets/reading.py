"""Reads targets: those that come with nasengine, by name, and a user's own, by path."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nasengine.errors import ConfigError, UnknownNameError
from nasengine.targets.target import Target

MAX_FILE_BYTES = 20_000  # keys with many dots cost the parser the square of their number
MAX_FAULTS = 20
MAX_SHOWN = 80
SUFFIX = ".toml"


def built_in_targets() -> dict[str, Target]:
    """All targets that come with nasengine, by name.

    >>> "any-onnx" in built_in_targets()
    True
    """
    found = (_read(entry.name, entry.read_bytes()) for entry in _built_in_files())
    return {target.name: target for target in sorted(found, key=lambda target: target.name)}


def load_target(name: str) -> Target:
    """A built-in target, or the one in a TOML file where the name ends in ``.toml``.

    Raises:
        UnknownNameError: no built-in target has this name.
        ConfigError: a file that is missing, too large or malformed.
    """
    if name.endswith(SUFFIX):
        return read_target(Path(name))
    known = built_in_targets()
    if name not in known:
        raise UnknownNameError("target", name, known)
    return known[name]


def read_target(path: Path) -> Target:
    """A target from a file; a relative path in ``latency.model`` counts from the file's folder.

    Raises:
        ConfigError: the file is missing, too large or malformed; all faults are listed.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ConfigError(f"target {path}: expected at most {MAX_FILE_BYTES} bytes, got {size}")
        content = path.read_bytes()
    except (OSError, ValueError) as fault:  # ValueError: a path with a null byte
        reason = getattr(fault, "strerror", None) or fault
        raise ConfigError(f"target {path}: expected a TOML file, got: {reason}; see 'nasengine target list'") from fault
    target = _read(str(path), content)
    latency = target.latency
    if latency is None or latency.model is None or not latency.model.endswith(".json"):
        return target
    model = str((path.parent / latency.model).absolute())  # resolve() would follow links, which may run in circles
    return target.model_copy(update={"latency": latency.model_copy(update={"model": model})})


def _built_in_files() -> list[Any]:
    folder = files("nasengine.targets") / "built_in"
    return [entry for entry in folder.iterdir() if entry.name.endswith(SUFFIX)]


def _read(where: str, content: bytes) -> Target:
    try:
        return Target.model_validate(tomllib.loads(content.decode()))
    except ValidationError as fault:
        raise ConfigError([_sentence(where, entry) for entry in fault.errors()[:MAX_FAULTS]]) from fault
    except (ValueError, RecursionError, TypeError) as fault:  # of TOML, of UTF-8, or a number of thousands of digits
        raise ConfigError(f"target {where}: expected TOML, got: {fault}") from fault


def _sentence(where: str, entry: Any) -> str:
    place = ".".join(str(part)[:MAX_SHOWN] for part in entry["loc"]) or "the file"
    message = entry["msg"].removeprefix("Value error, ")
    return f"target {where}, {place}: {message[0].lower() + message[1:]}, got {_shown(entry['input'])}"


def _shown(value: Any) -> str:
    """Part of a value; tables may be nested too deep, and numbers too long, to be written out."""
    if isinstance(value, dict | list | tuple):
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > MAX_SHOWN:
        return f"a number of {value.bit_length()} bits"
    return repr(value if not isinstance(value, str) else value[:MAX_SHOWN])
