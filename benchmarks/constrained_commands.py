"""``nasengine bench constrained``: searches under caps of latency, and for trade-offs, on a table of a device."""

from pathlib import Path
from typing import Annotated, Any

import typer

from benchmarks.options import Json, Out, finish, names
from nasengine.errors import ConfigError


def constrained(
    table_dir: Annotated[Path, typer.Option(help="Folder with nasbench201.csv.gz and nasbench201_hardware.csv.gz.")],
    seeds: Annotated[str, typer.Option(help="Seeds, with commas, or the first and the last with two dots.")] = "0..19",
    caps: Annotated[str, typer.Option(help="Latencies in ms, with commas.")] = "10,20,30",
    device: Annotated[str, typer.Option(help="Has a column of latencies in the table.")] = "raspi4",
    methods: Annotated[str, typer.Option(help="Names of methods, with commas; 'all' for all.")] = "all",
    out: Out = Path("runs/bench-constrained.jsonl"),
    as_json: Json = False,
) -> None:
    """Accuracy under caps of latency, and hypervolume of accuracy and latency, after 50 and 100 evaluations."""

    def work() -> list[dict[str, Any]]:
        from benchmarks.constrained_methods import FOR_TRADE_OFFS, UNDER_A_CAP
        from benchmarks.constrained_search import KEY, run, summary
        from benchmarks.device_tables import DeviceTable
        from benchmarks.results import ResultsFile

        wanted: dict[str, Any] = {
            "caps": _limits(caps),
            "seeds": _seeds(seeds),
        }  # faults in these before tables are read
        every = list(dict.fromkeys([*UNDER_A_CAP, *FOR_TRADE_OFFS]))
        chosen = every if methods == "all" else names(methods)
        rows = run(DeviceTable.read(table_dir, device), ResultsFile(out, KEY), methods=chosen, **wanted)
        return summary(list(rows))

    header = ("cap", "method", "gap at 50, 100 evaluations", "within 0.3", "cap kept", "hypervolume at 50, 100")
    finish(work, header, _line, as_json)


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    if row["cap_ms"] is None:
        return "none", row["method"], "", "", "", _means(row, "hypervolume", 4)
    close = " ".join(f"{share:.0%}" for share in row["share_close"])
    return (
        f"{row['cap_ms']:g} ms", row["method"], _means(row, "gap", 3), close,
        "yes" if row["all_keep_cap"] else "NO", "",
    )  # fmt: skip


def _means(row: dict[str, Any], name: str, digits: int) -> str:
    """Mean and standard error after each budget; a dash where a search found nothing."""
    pairs = zip(row[name], row[f"{name}_error"], strict=True)
    return ", ".join(
        "-" if mean is None else f"{mean:.{digits}f} +- {error:.{digits}f}" for mean, error in pairs
    )  # fmt: skip


def _limits(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < limit < float("inf") for limit in found):
        raise ConfigError(f"--caps: expected milliseconds above 0 with commas between them, got {text!r}")
    return found


def _seeds(text: str) -> list[int]:
    """Reads ``0,3`` and ``0..19``."""
    found: list[int] = []
    for part in text.split(","):
        first, dots, last = (piece.strip() for piece in part.partition(".."))
        if not first.isdecimal() or not (last or first).isdecimal() or (dots and not last):
            raise ConfigError(f"--seeds: expected whole numbers, such as 0,1,2 or 0..19, got {text!r}")
        found += range(int(first), int(last or first) + 1)
    if not found:
        raise ConfigError(f"--seeds: expected a first seed before the last, got {text!r}")
    return found
