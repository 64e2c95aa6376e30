"""``nasengine target``: the devices that networks are made for."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from nasengine.report.console import Json, finish, print_table

if TYPE_CHECKING:
    from nasengine.targets import Target

app = typer.Typer(help="Targets: devices that networks are made for.", no_args_is_help=True)


@app.command(name="list")
def list_targets(as_json: Json = False) -> None:
    """The targets that come with nasengine; files of your own are named by path wherever these are."""

    def work() -> dict[str, Any]:
        from nasengine.targets import built_in_targets

        return {"targets": [target.model_dump(mode="json") for target in built_in_targets().values()]}

    def show(content: dict[str, Any]) -> None:
        from nasengine.targets import Target

        targets = [Target.model_validate(entry) for entry in content["targets"]]
        rows: list[tuple[str, ...]] = [
            (target.name, target.runtime, ", ".join(target.data_types), _limits(target), _latency(target), target.title)
            for target in targets
        ]
        _print(("name", "runtime", "data types", "limits", "latency", "what it is"), rows)

    finish(work, show, as_json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A target's name, or a TOML file of your own.")], as_json: Json = False
) -> None:
    """All that is known of one target, and where from."""

    def work() -> dict[str, Any]:
        from nasengine.targets import load_target

        return load_target(name).model_dump(mode="json")

    def show_rows(content: dict[str, Any]) -> None:
        from nasengine.targets import Target

        _print(("", content["name"]), _rows(Target.model_validate(content)))

    finish(work, show_rows, as_json)


def _print(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """A table whose texts are strangers': brackets in them are no markup."""
    from rich.markup import escape

    print_table(tuple(map(escape, header)), [tuple(map(escape, row)) for row in rows])


def _rows(target: "Target") -> list[tuple[str, ...]]:
    latency = target.latency
    rows: list[tuple[str, ...]] = [
        ("what it is", target.title),
        ("runtime", target.runtime),
        ("data types", ", ".join(target.data_types)),
        ("operators", ", ".join(target.operators) or "all"),
        ("limits", _limits(target)),
        ("latency", _latency(target)),
    ]
    if latency is not None and latency.about:
        rows.append(("", latency.about))
    return rows + [("source", source) for source in target.sources]


def _limits(target: "Target") -> str:
    found = target.limits.model_dump(exclude_none=True)
    return ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in found.items()) or "none"


def _latency(target: "Target") -> str:
    latency = target.latency
    if latency is None:
        return "unknown"
    threads = f"{latency.threads} thread{'s' if latency.threads > 1 else ''}"
    return f"measured here, {threads}" if latency.measured else f"predicted by {latency.model}"
