"""How well predictors rank networks: GENNAPE and its baselines on the reference tables.

For each seed a predictor is pretrained without a label of the family that it is tested on: the encoder on unlabelled
graphs of all spaces, the ensemble on the labels of the other families. Some labels of the family are drawn, and all
other networks of the family are ranked. The baselines of the same run see the same labels.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy

from benchmarks.labelled_families import LabelledFamily, none_free_cells, read_family, unique_cells
from benchmarks.results import ResultsFile, Row, machine
from nasengine import registry
from nasengine.graph import ComputationGraph, cost
from nasengine.randomness import seed_of
from predictors.gennape.building import (
    GRAPHS_OF_SPACE,
    SPACES,
    pretrained_encoder,
    pretrained_gennape,
    unlabelled_graphs,
)
from predictors.gennape.encoder import GraphEncoder
from predictors.gennape.ensemble_fitting import EnsembleConfig, Family
from predictors.gennape.few_shot import FewShotConfig
from predictors.gennape.forest import Forest
from predictors.gennape.gennape import Gennape
from predictors.gennape.k_gnn import k_gnn_scores, train_k_gnn
from predictors.gennape.ranks import RankTransform
from predictors.predictor_batch import predictor_batch, predictor_features
from predictors.zero_cost import rank_sum

POOL_SIZE = 1000
"""Unlabelled networks of the family by which inputs are ranked."""
BEST_SUBSET = ("jacov", "epe_nas", "params")
"""The log-rank sum that the method sheet found best of all subsets of two to four (on this very table)."""
OTHERS = {
    "nasbench201": ("nasbench_macro", "nasbench101"),
    "nasbench_macro": ("nasbench201", "nasbench101"),
    "nasbench101": ("nasbench201", "nasbench_macro"),
}
"""Families whose labels a predictor for a family may know."""
Scores = tuple[numpy.ndarray, numpy.ndarray]


@dataclass(frozen=True)
class Setting:
    """One row group of the table.

    Args:
        rows: which networks, a key of ``Families``.
        labels: how many are known.
        with_proxies: the predictor sees the reference proxies.
    """

    rows: str
    labels: int
    with_proxies: bool


SETTINGS = (
    Setting("nasbench201 none-free", 0, with_proxies=False),
    Setting("nasbench201 unique", 0, with_proxies=False),
    Setting("nasbench201 unique", 0, with_proxies=True),
    Setting("nasbench_macro", 0, with_proxies=False),
    Setting("nasbench101", 0, with_proxies=False),
    Setting("nasbench201 none-free", 50, with_proxies=True),
    Setting("nasbench201 unique", 78, with_proxies=True),
    Setting("nasbench201 unique", 156, with_proxies=True),
    Setting("nasbench201 unique", 469, with_proxies=True),
    Setting("nasbench201 unique", 781, with_proxies=True),
    Setting("nasbench_macro", 50, with_proxies=False),
    Setting("nasbench101", 50, with_proxies=False),
)


KEY = ("benchmark", "networks", "labels", "with_proxies", "method", "seed")
"""What makes a row the same run."""


class Families:
    """Reads families when they are asked for, and pretrains predictors that have not seen one of them.

    Args:
        folder: with the tables.
        work: where pretrained predictors are kept between runs; None keeps none.
        report: is told what is being done.
    """

    def __init__(self, folder: Path, work: Path | None, report: Callable[[str], None]) -> None:
        self.folder, self.work, self.report = folder, work, report
        self.read = lru_cache(maxsize=None)(self._read)
        self.encoder = lru_cache(maxsize=1)(self._encoder)
        self.pretrained = lru_cache(maxsize=2)(self._pretrained)

    def _read(self, rows: str) -> LabelledFamily:
        if rows == "nasbench201 unique":
            return unique_cells(self.folder)
        if rows == "nasbench201 none-free":
            return none_free_cells(self.folder, self.read("nasbench201 unique"))
        return read_family(self.folder, rows)

    def _encoder(self, seed: int) -> GraphEncoder:
        spaces = [registry.load("search space", name) for name in SPACES]
        self.report(f"seed {seed}: encoder")
        return pretrained_encoder(unlabelled_graphs(spaces, GRAPHS_OF_SPACE, seed), seed=seed)

    def _pretrained(self, family: str, seed: int) -> Path | Gennape:
        path = None if self.work is None else self.work / f"without-{family}-{seed}.safetensors"
        if path is not None and path.is_file():
            return path
        known = {}
        for name in OTHERS[family]:
            found = self.read("nasbench201 unique" if name == "nasbench201" else name)
            known[name] = Family(found.graphs, found.accuracies)
        self.report(f"seed {seed}: ensemble without {family}")
        predictor = pretrained_gennape(known, self.encoder(seed), EnsembleConfig(), seed=seed)
        if path is None:
            return predictor
        path.parent.mkdir(parents=True, exist_ok=True)
        predictor.save(path)
        return path

    def predictor(self, family: str, seed: int) -> Gennape:
        """A predictor that has not seen the family's labels, as pretrained."""
        found = self.pretrained(family, seed)
        return found if isinstance(found, Gennape) else Gennape.load(found)


def run(
    families: Families,
    results: ResultsFile,
    *,
    seeds: Sequence[int],
    settings: Sequence[Setting],
    methods: Sequence[str],
) -> Iterator[Row]:
    """One row for each setting, method and seed; those of the results file come from there."""
    for seed in seeds:
        for setting in settings:
            for name in methods:
                method = METHODS[name]
                if (method.needs_proxies and not setting.with_proxies) or (method.needs_labels and not setting.labels):
                    continue
                family = setting.rows.split()[0]
                key = {
                    "benchmark": "predictor", "family": family, "networks": setting.rows, "labels": setting.labels,
                    "with_proxies": setting.with_proxies, "method": name, "seed": seed,
                }  # fmt: skip
                known = results.find(**key)
                if known is None:
                    families.report(f"seed {seed}: {setting.rows}, {setting.labels} labels, {name}")
                    begin = time.perf_counter()
                    found = _measure(families, setting, method, seed)
                    pretrained_on = "+".join(OTHERS[family]) if method.pretrained else "none"
                    seconds = round(time.perf_counter() - begin, 1)
                    known = key | found | {"pretrained_on": pretrained_on, "seconds": seconds, "machine": machine()}
                    results.append(known)
                yield known


def _measure(families: Families, setting: Setting, method: "Method", seed: int) -> Row:
    work = drawn(families, setting, seed)
    scores, std = method.work(work)
    found = figures(work, scores)
    if len(std) and setting.labels:
        truth = work.family.accuracies[work.rest]
        found["coverage_90"] = round(float((numpy.abs(scores - truth) <= 1.6449 * std).mean()), 4)
    return found


def drawn(families: Families, setting: Setting, seed: int) -> "Work":
    """Which networks are labelled, by seed; all others are to be ranked."""
    family = families.read(setting.rows)
    order = numpy.random.default_rng(seed_of("labels", setting.rows, seed)).permutation(len(family))
    return Work(families, setting, family, order[: setting.labels], order[setting.labels :], seed)


def figures(work: "Work", scores: numpy.ndarray) -> Row:
    """How well scores rank the networks that were not labelled."""
    from scipy.stats import kendalltau, spearmanr

    truth = work.family.accuracies[work.rest]
    return {
        "rows": len(truth),
        "kendall_tau": round(float(kendalltau(scores, truth)[0]), 4),
        "spearman_rho": round(float(spearmanr(scores, truth)[0]), 4),
    }


@dataclass(frozen=True, eq=False)
class Work:
    """What a method is given: which networks are labelled, and which are to be ranked."""

    families: Families
    setting: Setting
    family: LabelledFamily
    labelled: numpy.ndarray
    rest: numpy.ndarray
    seed: int

    def proxies(self, rows: numpy.ndarray) -> dict[str, numpy.ndarray] | None:
        """Reference proxies of some networks, where the setting allows them."""
        if not self.setting.with_proxies:
            return None
        return {name: column[rows] for name, column in self.family.proxies.items()}

    def graphs(self, rows: numpy.ndarray) -> list[ComputationGraph]:
        """Computation graphs of some networks."""
        return [self.family.graphs[row] for row in rows]

    @property
    def pool(self) -> numpy.ndarray:
        """Networks by which inputs are ranked; their labels are not looked at."""
        rng = numpy.random.default_rng(seed_of("pool", self.seed))
        return rng.permutation(len(self.family))[:POOL_SIZE]


def gennape_scores(work: Work, config: FewShotConfig | None = None) -> Scores:
    """What GENNAPE says, with the labels of the setting or without any."""
    predictor = work.families.predictor(work.family.name, work.seed)
    predictor.adapt(work.graphs(work.pool))
    if work.setting.labels:
        predictor.fit(
            work.graphs(work.labelled), work.family.accuracies[work.labelled].tolist(), work.proxies(work.labelled),
            pool=work.graphs(work.pool), pool_proxies=work.proxies(work.pool), config=config, seed=work.seed,
        )  # fmt: skip
        found = predictor.predict(iter(work.graphs(work.rest)), work.proxies(work.rest))
    else:
        proxies = work.proxies(work.rest)
        subset = None if proxies is None else {name: proxies[name] for name in BEST_SUBSET}
        found = predictor.predict(iter(work.graphs(work.rest)), subset)
    return found.mean, found.std


def _cost(name: str) -> Callable[[Work], Scores]:
    def work(given: Work) -> Scores:
        return numpy.array([getattr(cost(graph), name) for graph in given.graphs(given.rest)], float), numpy.zeros(0)

    return work


def _features(graphs: Sequence[ComputationGraph]) -> numpy.ndarray:
    parts = [predictor_features(predictor_batch(graphs[begin : begin + 500])) for begin in range(0, len(graphs), 500)]
    return numpy.vstack(parts)


def _best_proxy(work: Work) -> Scores:
    """With hindsight: the proxy of the largest Spearman correlation on the very networks that are ranked."""
    from scipy.stats import spearmanr

    columns, truth = work.proxies(work.rest), work.family.accuracies[work.rest]
    assert columns is not None
    best = max(columns.values(), key=lambda column: float(spearmanr(column, truth)[0]))
    return best, numpy.zeros(0)


def _rank_sum(work: Work) -> Scores:
    columns = work.proxies(work.rest)
    assert columns is not None
    return rank_sum({name: columns[name] for name in BEST_SUBSET}), numpy.zeros(0)


def _trees(work: Work) -> Scores:
    columns = _features(work.family.graphs)
    if work.setting.with_proxies:
        columns = numpy.hstack([columns, numpy.stack(list(work.family.proxies.values()), axis=1)])
    ranks = RankTransform.fit(columns[work.pool]).apply(columns)
    targets = numpy.argsort(numpy.argsort(work.family.accuracies[work.labelled])) / len(work.labelled)
    forest = Forest.fit(ranks[work.labelled], targets, work.seed)
    return forest.predict(ranks[work.rest])[0], numpy.zeros(0)


def _k_gnn(work: Work) -> Scores:
    labels = work.family.accuracies[work.labelled]
    targets = (labels - labels.mean()) / labels.std()
    epochs = min(100, 6000 // len(labels))
    model = train_k_gnn(work.graphs(work.labelled), targets, epochs=epochs, batch_size=32, seed=work.seed)
    graphs = work.graphs(work.rest)
    parts = [k_gnn_scores(model, predictor_batch(graphs[begin : begin + 500])) for begin in range(0, len(graphs), 500)]
    return numpy.concatenate(parts), numpy.zeros(0)


@dataclass(frozen=True)
class Method:
    """A way of ranking, and what it needs."""

    work: Callable[[Work], Scores]
    needs_proxies: bool = False
    needs_labels: bool = False
    pretrained: bool = False


METHODS = {
    "gennape": Method(gennape_scores, pretrained=True),
    "params": Method(_cost("num_parameters")),
    "macs": Method(_cost("macs")),
    "best single proxy (hindsight)": Method(_best_proxy, needs_proxies=True),
    "rank-sum of jacov, epe_nas, params": Method(_rank_sum, needs_proxies=True),
    "k-GNN": Method(_k_gnn, needs_labels=True),
    "trees": Method(_trees, needs_labels=True),
}
"""GENNAPE, then the baselines."""


def summary(rows: Sequence[Row]) -> list[Row]:
    """Mean and standard deviation over seeds, one row for each setting and method."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("family", "networks", "labels", "with_proxies", "method", "pretrained_on"))
        groups.setdefault(key, []).append(row)
    found = []
    for group in groups.values():
        first = {name: group[0][name] for name in
                 ("family", "networks", "pretrained_on", "labels", "with_proxies", "rows", "method")}  # fmt: skip
        for figure in ("kendall_tau", "spearman_rho", "coverage_90"):
            values = [row[figure] for row in group if figure in row]
            if values:
                first[figure] = round(statistics.mean(values), 4)
                first[f"{figure}_spread"] = round(statistics.stdev(values), 4) if len(values) > 1 else 0.0
        found.append(first | {"seeds": [row["seed"] for row in group]})
    return found
