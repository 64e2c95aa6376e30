"""``nasengine bench elastic``: what one elastic supernet is worth, and what it takes."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmarks.options import Json, Out, Seeds, Threads, finish, finished_rows, load, numbers, one_of
from nasengine.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks.elastic_supernets import Setting, TrainedSupernet

PARTS = ("speed", "limits", "prefilter")


def elastic(
    part: Annotated[str, typer.Option(help="speed, limits or prefilter.")] = "speed",
    space: Annotated[str, typer.Option(help="A space whose supernet is elastic.")] = "mobilenet",
    data: Annotated[str, typer.Option(help="What 'nasengine search --data' takes.")] = "digits",
    budget: Annotated[str, typer.Option(help="Sizes and recipes: quick, standard or full.")] = "quick",
    seeds: Seeds = "0,1,2",
    epochs: Annotated[int, typer.Option(min=1, help="Of each network from scratch, and of all the elastic side.")] = 10,
    tuning_epochs: Annotated[int, typer.Option(min=0, help="Of each subnet; the supernet has them less.")] = 0,
    subnets: Annotated[int, typer.Option(min=1, help="Random subnets for speed.")] = 8,
    measured: Annotated[int | None, typer.Option(min=1, help="Subnets measured for each limit.")] = None,
    on_validation: Annotated[
        bool, typer.Option("--on-validation", help="To choose settings: test images stay unseen.")
    ] = False,
    strategy: Annotated[str, typer.Option(help="Proposes subnets.")] = "regularized_evolution",
    predictor: Annotated[str, typer.Option(help="For prefilter.")] = "gennape",
    pool: Annotated[int, typer.Option(min=1, help="Subnets that the predictor scores for each limit.")] = 400,
    threads: Threads = 1,
    out: Out = Path("runs/bench-elastic.jsonl"),
    as_json: Json = False,
) -> None:
    """Subnets of an elastic supernet: seconds to measure one, accuracy against training from scratch, a pre-filter."""

    def work() -> list[dict[str, Any]]:
        import torch

        from benchmarks.elastic_limits import Plan

        one_of("--part", part, PARTS)
        one_of("--budget", budget, ("quick", "standard", "full"))
        torch.set_num_threads(threads)
        setting, chosen = _setting(space, data, budget, measured), numbers(seeds, "--seeds")
        if part == "speed":
            return _speed(setting, out, chosen, subnets)
        plan = Plan(epochs, tuning_epochs, on_validation=on_validation)
        supernets = _supernets(setting.with_epochs(plan.supernet_epochs(setting)), chosen)
        if part == "limits":
            return _limits(plan, supernets, strategy, out)
        return _prefilter(supernets, out, {"strategy": strategy, "predictor": predictor, "pool": pool})

    def lines() -> list[tuple[str, ...]]:
        return _LINES[part](rows)

    rows: list[dict[str, Any]] = []

    def keep() -> list[dict[str, Any]]:
        rows.extend(work())
        return rows

    finish(keep, _HEADERS.get(part, ()), lines, as_json)


_HEADERS = {
    "speed": ("seed", "inside over outside", "worst", "drawn and costed"),
    "limits": ("limit", "elastic", "from scratch", "macs of the training"),
    "prefilter": ("limit", "pre-filter", "best", "best of the first half", "mean", "seconds"),
}


def _setting(space: str, data: str, budget: str, measured: int | None) -> "Setting":
    from dataclasses import replace

    from benchmarks.elastic_supernets import Setting
    from nasengine import registry
    from nasengine.protocols import ElasticSpace

    found = registry.load("search space", space)
    if not isinstance(found, ElasticSpace):
        raise ConfigError(f"--space: expected one whose supernet is elastic, such as mobilenet, got {space!r}")
    scale = found.scales[budget]
    images = load(data).reduced(scale.max_train_images, scale.max_test_images, scale.max_image_size, 0)
    scale = replace(scale, sampled_paths=measured or scale.sampled_paths)
    return Setting(found, scale, images)


def _supernets(setting: "Setting", seeds: list[int]) -> "dict[int, TrainedSupernet]":
    from benchmarks.elastic_supernets import TrainedSupernet

    return {seed: TrainedSupernet(setting, seed) for seed in seeds}


def _speed(setting: "Setting", out: Path, seeds: list[int], subnets: int) -> list[dict[str, Any]]:
    from benchmarks.elastic_speed import key_of, run

    parts = setting.space, setting.config, setting.dataset
    keys = [key_of(*parts, subnets=subnets, seed=seed) for seed in seeds]
    return finished_rows(out, keys, lambda key: run(*parts, key))


def _limits(plan: Any, supernets: "dict[int, TrainedSupernet]", strategy: str, out: Path) -> list[dict[str, Any]]:
    from benchmarks.elastic_limits import KEY, run
    from benchmarks.results import ResultsFile
    from nasengine import registry

    setting = next(iter(supernets.values())).setting
    return run(setting, plan, supernets, registry.load("strategy", strategy), ResultsFile(out, KEY))


def _prefilter(supernets: "dict[int, TrainedSupernet]", out: Path, content: dict[str, Any]) -> list[dict[str, Any]]:
    from benchmarks.elastic_prefilter import KEY, run
    from benchmarks.results import ResultsFile
    from nasengine import registry
    from nasengine.assembly import load_predictor

    make, results = registry.load("strategy", content["strategy"]), ResultsFile(out, KEY)
    return [run(one, make, load_predictor(content["predictor"]), results, content) for one in supernets.values()]


def _lines_of_speed(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (str(row["seed"]), f"{row['mean_ratio']:.2f}x", f"{row['worst_ratio']:.2f}x",
         f"{row['drawn_per_second']:,.0f} a second")
        for row in rows
    ]  # fmt: skip


def _lines_of_limits(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    from benchmarks.elastic_limits import summary

    return [
        (row["limit"], f"{row['elastic']:.4f}", f"{row['scratch']:.4f}", f"{row['macs_share']:.2f}x")
        for row in summary(rows)
    ]


def _lines_of_prefilter(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    from benchmarks.elastic_prefilter import summary

    return [
        (f"{row['limit'] / 1e6:.2f}M", row["way"], f"{row['best']:.4f}", f"{row['best_of_half']:.4f}",
         f"{row['mean']:.4f}", f"{row['seconds']:.1f}")
        for row in summary(rows)
    ]  # fmt: skip


_LINES = {"speed": _lines_of_speed, "limits": _lines_of_limits, "prefilter": _lines_of_prefilter}
