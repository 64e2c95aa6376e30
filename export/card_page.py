"""A model card as a page for people: ``card.md``."""

from collections.abc import Iterable

from export.card import FileCard, LimitCard, ModelCard, TargetCard

MAX_CLASSES = 30
LIMITS = {
    "model_bytes": "bytes of the file",
    "peak_bytes": "bytes of activations at a time",
    "macs": "multiply-accumulates",
    "num_parameters": "parameters",
}


def page(card: ModelCard) -> str:
    """Markdown: what the network is, its files, how fast it is and how that is known, and how it was made."""
    parts = (
        _title(card), _files(card), _latency(card), *([_target(card.target)] if card.target else []), _use(card),
        _origin(card),
    )  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _title(card: ModelCard) -> str:
    data, shape = card.data, "x".join(map(str, card.data.image_shape))
    return "\n".join([
        f"# {_text(card.space)} network for {_text(data.name)}",
        "",
        f"Names one of {len(card.classes)} classes in an image. Found by nasengine in the search space "
        f"{_text(card.space)}, trained on {data.num_train} images and tested on {data.num_test} others, of {shape} "
        f"(channels, height, width). {card.num_parameters:,} parameters, {card.macs:,} multiply-accumulates an image.",
        "",
        "Its genotype:",
        "",
        f"    {_line(card.genotype)}",
    ])  # fmt: skip


def _files(card: ModelCard) -> str:
    rows = [
        (
            file.name, file.data_type, f"{file.size_bytes:,}", f"{file.test_accuracy:.4f}",
            f"{file.top1_agreement:.2%}", f"{card.peak_bytes[file.data_type]:,}",
        )
        for file in card.files
    ]  # fmt: skip
    header = ("file", "data type", "bytes", "test accuracy", "same class as float32", "peak activations, bytes")
    made = [f"{file.name}: {_text(file.method)}." for file in card.files if file.method]
    return "\n".join([
        "## Files", "", *_table(header, rows), "",
        f"Accuracy is onnxruntime's, on all {card.data.num_test} test images. {_checked(card.files[0])}"
        "Peak activations: the largest sum of values alive at the same time, one image, in the order of the file, "
        "without weights and without reuse in place.",
        *(("", *(f"- {_text(note)}" for note in card.notes)) if card.notes else ()),
        *(("", *(f"- {line}" for line in made)) if made else ()),
    ])  # fmt: skip


def _checked(file: FileCard) -> str:
    if file.max_deviation is None:
        return ""
    return f"Logits of {file.name} deviate from the trained network's by at most {file.max_deviation:.1e}. "


def _latency(card: ModelCard) -> str:
    measured = [file for file in card.files if file.latency is not None]
    if not measured:
        return "## Latency\n\nNot measured."
    header = ("file", "median, ms", "95 % of runs within, ms", "memory of the process, bytes")
    return "\n".join(["## Latency", "", *_table(header, map(_latency_row, measured)), "", _how(measured[0])])


def _latency_row(file: FileCard) -> tuple[str, ...]:
    found = file.latency
    assert found is not None
    memory = "not measured" if found.process_bytes is None else f"{found.process_bytes:,}"
    return file.name, f"{found.p50_ms:.3f}", f"{found.p95_ms:.3f}", memory


def _how(file: FileCard) -> str:
    found = file.latency
    assert found is not None
    load = "" if found.load_average is None else f", load average {found.load_average:.1f}"
    memory = "" if found.process_bytes is None else " Memory is what a new process takes beyond one without a file."
    return (
        f"Measured on {_text(found.cpu)} ({_text(found.system)}), onnxruntime {_text(found.onnxruntime)}, "
        f"{found.threads} {'thread' if found.threads == 1 else 'threads'}, one image at a time, {found.runs} runs "
        f"after {found.warm_up} to warm up, files in turns in random order{load}. Other machines take other "
        f"times.{memory}"
    )


def _target(target: TargetCard) -> str:
    rows = [_limit_row(check) for check in target.limits]
    limits = _table(("limit", "at most", "this network", "kept"), rows) if rows else ["It sets no limits."]
    return "\n".join([
        f"## Target: {_text(target.name)}", "",
        f"{_text(target.title)}; runtime {_text(target.runtime)}, data types {', '.join(target.data_types)}.", "",
        *limits, "", _latency_there(target),
    ])  # fmt: skip


def _limit_row(check: LimitCard) -> tuple[str, ...]:
    kept = "yes" if check.value <= check.limit else "no"
    return LIMITS.get(check.name, check.name), f"{check.limit:,}", f"{check.value:,}", kept


def _latency_there(target: TargetCard) -> str:
    if target.is_this_machine:
        return "Latency: measured, see above; the machine that exported these files counts as this target."
    if target.predicted is None:
        return "Latency on this target: not measured, and no model predicts it. The times above are another machine's."
    found = target.predicted
    share = found.within_percent
    error = "its error is not known" if share is None else f"within {share:.1f} % as a rule"
    return (
        f"Latency on this target: {found.latency_ms:.3f} ms, predicted by {_text(found.by)}, {error}; not measured. "
        "The times above are another machine's."
    )


def _use(card: ModelCard) -> str:
    names = [_text(name) for name in card.classes[:MAX_CLASSES]]
    more = f", and {len(card.classes) - MAX_CLASSES} more in labels.txt" if len(card.classes) > MAX_CLASSES else ""
    task = card.preprocessing
    return "\n".join([
        "## Use", "",
        "    pip install onnxruntime numpy",
        "    python infer.py IMAGE", "",
        f"Input `images`: (byte / {task['divisor']} - mean) / std for each channel ({task['colours']}), shape (batch, "
        f"channels, height, width); mean {task['mean']}, std {task['std']}. The class is the largest of `logits`.", "",
        f"Classes: {', '.join(names)}{more}.", "",
        f"Licence of the weights: {_text(card.licence)}.",
    ])  # fmt: skip


def _origin(card: ModelCard) -> str:
    made = card.made
    versions = ", ".join(f"{_text(name)} {_text(version)}" for name, version in made.versions.items())
    return "\n".join([
        "## How it was made", "",
        f"Run {_text(made.run)}: data {_text(card.data.name)}, budget {_text(made.budget)}, seed {made.seed}. "
        f"Versions: {versions}.",
        "", *_table(("file", "sha256"), [(file.name, file.sha256) for file in card.files]),
        "", f"Weights: sha256 {made.weights_sha256}.",
    ])  # fmt: skip


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [header, ("---",) * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _line(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    """Names that users chose must not become markup."""
    return "".join(f"\\{letter}" if letter in "\\`*[]<>|" else letter for letter in _line(text))
