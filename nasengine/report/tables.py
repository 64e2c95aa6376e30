"""What commands print for people, as a header and rows of text."""

from typing import Any

Rows = list[tuple[str, ...]]
Table = tuple[tuple[str, ...], Rows]


def search_table(content: dict[str, Any]) -> Table:
    """Outcome of ``nasengine search``."""
    winner, baseline, onnx, data = (content[key] for key in ("winner", "random_baseline", "onnx", "data"))
    size = "x".join(map(str, data["image_shape"]))
    rows: Rows = [
        ("winner", winner["genotype"]),
        ("test accuracy", f"{winner['test_accuracy']:.4f} ({data['num_test']} images of {size})"),
        ("random baseline", f"{baseline['test_accuracy']:.4f} (a random architecture, same training)"),
        ("macs", f"{winner['macs'] / 1e6:.2f} M"),
        ("parameters", f"{winner['num_parameters']:,}"),
        ("ONNX file", onnx["path"]),
        ("largest deviation", f"{onnx['max_deviation']:.1e} from torch, same class for {onnx['top1_agreement']:.2%}"),
        ("report", content["page"]),
        ("picture", content["picture"]),
        ("time", f"{content['seconds']:.0f} s"),
    ]
    rows.extend(_target_rows(content.get("target")))
    for answer in content.get("within", []):
        figures = f"{answer['test_accuracy']:.4f}, {answer['macs'] / 1e6:.2f} M macs, {answer['onnx']['path']}"
        rows.append((f"within {answer['limit'] / 1e6:.2f} M macs", figures))
    for split in content["splits"]:
        for part in split["parts"]:
            groups = " | ".join(", ".join(group) for group in part["groups"])
            where = part.get("place", "{} edge {}".format(*part["edge"]))
            rows.append((f"split {split['level'] + 1}", f"{where}: {groups}"))
    for leaf in content["leaves"]:
        chosen = ", proposed by the predictor" if leaf.get("is_predicted") else ""
        chosen += ", chosen" if leaf["genotype"] == winner["genotype"] else ""
        figures = f"validation {leaf['validation_accuracy']:.4f}, test (oracle) {leaf['oracle_test_accuracy']:.4f}"
        rows.append((f"leaf {leaf['leaf']}", figures + chosen))
    rows.extend((f"leaf {leaf}", f"failed: {reason}") for leaf, reason in content["failed_leaves"].items())
    return ("", f"{content['space']} on {data['name']}"), rows


def trials_table(content: dict[str, Any]) -> Table:
    """Trials without the training of their winner."""
    best = content["best"]
    ends = ", ".join(
        f"{count} {status.lower().replace('_', ' ')}" for status, count in content["ends"].items() if count
    )
    accuracy = "none" if best["accuracy"] is None else f"{best['accuracy']:.4f}"
    costs = {name: value for name, value in best["metrics"].items() if name in ("macs", "params", "latency_ms")}
    rows: Rows = [("trials", ends), ("best", best["genotype"]), ("accuracy", accuracy)]
    rows.extend((name, f"{value:,.6g}") for name, value in costs.items())
    rows.append(("run", content["run"]))
    return ("", f"trials in {content['space']}"), rows


def _target_rows(target: dict[str, Any] | None) -> Rows:
    """What the winner costs on the device, against the limits."""
    if target is None:
        return []
    from nasengine.targets import METRICS

    limits = target["limits"]
    rows: Rows = []
    for name, value in target["winner"].items():
        if name in METRICS:
            deviation = target["winner"].get("latency_std_ms") if name == "latency_ms" else None
            text = f"{value:,.6g}" + (
                "" if deviation is None else f" +- {deviation:.2g} ms, predicted or measured before"
            )
            limit = f", limit {limits[name]:,.6g}" if name in limits else ""
            rows.append((f"{METRICS[name]} on {target['name']}", text + limit))
    found = target["trade_offs"]
    if found is not None:
        rows.append(("knee of the trade-offs", found["knee"]))
        rows.append(("hypervolume", f"{found['hypervolume']:.3f} of 1, {len(found['points'])} architectures"))
    return rows


def spaces_table(content: dict[str, Any]) -> Table:
    """Search spaces that are installed."""
    rows = [(row["name"], row["title"], f"{row['size']:,}", row["paper"]) for row in content["spaces"]]
    return ("space", "what", "architectures", "paper"), list(rows)


def describe_table(content: dict[str, Any]) -> Table:
    """Costs of one architecture."""
    rows: Rows = [
        ("macs", f"{content['macs'] / 1e6:.2f} M"),
        ("parameters", f"{content['num_parameters']:,}"),
        ("peak activations", f"{content['peak_activation_bytes'] / 2**10:.0f} KiB for one image"),
        ("network", f"{content['channels']} channels, {content['cells']} cells, {content['num_nodes']} operations"),
        ("fingerprint", content["fingerprint"][:16]),
        ("picture", content["picture"] or "none: this space has no cells"),
    ]
    return ("", content["space"]), rows


def export_table(content: dict[str, Any]) -> Table:
    """An exported file and its check."""
    report = content["onnx"]
    rows: Rows = [
        ("file", report["path"]),
        ("operator set", str(report["opset"] or "none: not ONNX")),
        ("largest deviation", f"{report['max_deviation']:.1e} on {report['num_images']} test images"),
        ("same class", f"{report['top1_agreement']:.2%}"),
    ]
    return ("", "export"), rows


def runs_table(content: dict[str, Any]) -> Table:
    """Runs and how far they are."""
    rows: Rows = []
    for row in content["runs"]:
        settings, accuracy = row["settings"], (row["summary"] or {}).get("winner", {}).get("test_accuracy")
        parts = [str(settings.get(name, "?")) for name in ("space", "data", "budget", "seed")]
        what = "{} on {}, {}, seed {}".format(*parts) if settings else ""
        rows.append((row["run"], what, row["status"], "" if accuracy is None else f"{accuracy:.4f}"))
    return ("run", "search", "status", "test accuracy"), rows


def family_table(content: dict[str, Any]) -> Table:
    """Networks of a family."""
    learngene = content["learngene"]
    rows: Rows = [
        (
            row["name"], f"{row['num_parameters']:,}", f"{row['macs'] / 1e6:.2f} M", f"{row['untuned_accuracy']:.4f}",
            f"{row['test_accuracy']:.4f}",
            f"{row['scratch_test_accuracy']:.4f}" if "scratch_test_accuracy" in row else "",
        )
        for row in content["members"]
    ]  # fmt: skip
    rows.append(("learngene", f"{learngene['num_values']:,}", "", "", "", ""))
    rows.append(
        (f"stored, {learngene['ratio']:.1f} times as much", f"{learngene['num_values_of_members']:,}", "", "", "", "")
    )
    return ("network", "parameters", "macs", "untuned", "tuned", "from scratch, as briefly"), rows
