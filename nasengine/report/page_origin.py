"""Last part of the page: how the run was made, and how to make it again."""

from typing import Any

from nasengine.protocols import SupernetSpace
from nasengine.report.chart_style import is_number
from nasengine.report.html_elements import Html, details, element, facts, joined, number, table
from nasengine.report.run_command import command_of
from nasengine.report.run_reading import RunContent

MAX_TASKS = 200


def origin(content: RunContent, _: SupernetSpace | None) -> Html:
    """Command, seed, data, environment, all settings, and where the time went."""
    settings = content.settings
    winner = (content.summary or {}).get("winner") or {}
    data = content.last("data") or {}
    command = element("pre", element("code", command_of(settings)))
    known = facts([
        ("seed", number(settings.get("seed"))),
        ("data", f"{data.get('name')}: {data.get('num_train')} images to train supernets, {data.get('num_validation')} "
                 f"to validate, {data.get('num_test')} to test, {data.get('num_classes')} classes" if data else None),
        ("fingerprint of the images", _code(data.get("fingerprint"))),
        ("fingerprint of the winner", _code(winner.get("fingerprint"))),
        ("sha256 of its weights", _code(winner.get("weights_sha256"))),
        *environment(content),
    ])  # fmt: skip
    said = (
        "The same command with the same images, versions and number of threads gives the same winner and the same "
        "bits on one kind of machine; elsewhere the last digits of sums may differ."
    )
    rows = [(name, _plain(value)) for name, value in settings.items()]
    parts = [command, element("p", said), known, details("All settings", table(("setting", "value"), rows, "Settings"))]
    return joined([*parts, _times(content)])


def environment(content: RunContent) -> list[tuple[str, Any]]:
    """Where the run went on last, as the journal has it, or as the export has it."""
    found = content.last("environment") or {}
    card = (content.card or {}).get("made") or {}
    versions = found.get("versions") or card.get("versions") or {}
    return [
        ("versions", ", ".join(f"{name} {value}" for name, value in versions.items()) or None),
        ("system", found.get("system")), ("processor", found.get("processor")), ("GPU", found.get("accelerator")),
        ("threads", content.settings.get("threads")),
    ]  # fmt: skip


def _code(value: Any) -> Html | None:
    return None if value is None else element("code", value)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _times(content: RunContent) -> Html:
    """Seconds of each task."""
    found: dict[str, tuple[int, float]] = {}
    for event in content.events:
        if is_number(event.get("seconds")):
            parts = (event.get("task") or event["event"], event.get("network") or "")
            name = " ".join(map(str, parts)).strip()
            count, seconds = found.get(name, (0, 0.0))
            found[name] = (count + 1, seconds + event["seconds"])
    rows = [(name, count, seconds) for name, (count, seconds) in found.items()][:MAX_TASKS]
    if not rows:
        return joined([])
    return details("Where the time went", table(("task", "steps", "seconds"), rows, "Where the time went"))
