"""What each part of GENNAPE is worth: rankings without it, on NAS-Bench-201, of which no label was seen or a few."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from benchmarks.predictor_quality import OTHERS, SETTINGS, Families, Setting, drawn, figures, gennape_scores
from benchmarks.results import ResultsFile, Row, machine
from nasengine import registry
from predictors.gennape.building import GRAPHS_OF_SPACE, SPACES, pretrained_encoder, unlabelled_graphs
from predictors.gennape.encoder import GraphEncoder
from predictors.gennape.ensemble_fitting import EnsembleConfig, Family, fit_ensemble
from predictors.gennape.few_shot import MEMBERS as FEW_SHOT_MEMBERS
from predictors.gennape.few_shot import FewShotConfig
from predictors.gennape.pretraining import PretrainingConfig
from predictors.gennape.zero_shot import ZeroShotEnsemble
from predictors.gennape.zero_shot_members import HEAD_KINDS, MEMBERS

KEY = ("benchmark", "networks", "labels", "variant", "seed")
ZERO_SHOT = tuple(setting for setting in SETTINGS[:2])
FEW_LABELS = Setting("nasbench201 unique", 156, with_proxies=True)
UNTRANSFORMED = {"clusters + T": "clusters", "single + T": "single"}
SUBSETS: dict[str, tuple[str, ...]] = {
    "all": MEMBERS,
    "without fuzzy clusters": tuple(name for name in MEMBERS if name not in ("clusters + T", "pairs + clusters")),
    "without T": tuple(UNTRANSFORMED.get(name, name) for name in MEMBERS),
    "without pairs": tuple(name for name in MEMBERS if not name.startswith("pairs")),
    "without heads": tuple(name for name in MEMBERS if name not in HEAD_KINDS),
    **{f"without {name}": tuple(other for other in MEMBERS if other != name) for name in ("k-GNN", "macs", "forest")},
    **{f"{name} alone": (name,) for name in (*MEMBERS, *UNTRANSFORMED.values())},
}
"""Members of each variant that needs no other encoder."""
ENCODERS = {
    "without contrastive pretraining": PretrainingConfig(contrastive_weight=0.0),
    "without auxiliary targets": PretrainingConfig(auxiliary_weight=0.0),
}
FEW: dict[str, FewShotConfig] = {
    "all": FewShotConfig(),
    "in-sample softmax weights": FewShotConfig(weighting="in_sample_softmax"),
    "equal weights": FewShotConfig(weighting="equal"),
    "without the zero-shot score": FewShotConfig(use_zero_shot=False),
    **{
        f"without {name}": FewShotConfig(members=tuple(other for other in FEW_SHOT_MEMBERS if other != name))
        for name in FEW_SHOT_MEMBERS
    },
    **{f"{name} alone": FewShotConfig(members=(name,)) for name in FEW_SHOT_MEMBERS},
}


def run(families: Families, results: ResultsFile, *, seeds: Sequence[int]) -> Iterator[Row]:
    """One row for each setting, variant and seed; those of the results file come from there."""
    for seed in seeds:
        ensembles: dict[str, ZeroShotEnsemble] = {}
        for setting in ZERO_SHOT:
            for variant in ("all", "equal weights", *list(SUBSETS)[1:], *ENCODERS):
                yield _row(families, results, setting, variant, seed, ensembles)
        for variant in FEW:
            yield _row(families, results, FEW_LABELS, variant, seed, ensembles)


def _row(
    families: Families,
    results: ResultsFile,
    setting: Setting,
    variant: str,
    seed: int,
    ensembles: dict[str, ZeroShotEnsemble],
) -> Row:
    key = {
        "benchmark": "predictor ablation", "networks": setting.rows, "labels": setting.labels, "variant": variant,
        "seed": seed,
    }  # fmt: skip
    known = results.find(**key)
    if known is not None:
        return known
    families.report(f"seed {seed}: {setting.rows}, {setting.labels} labels, {variant}")
    work = drawn(families, setting, seed)
    if setting.labels:
        scores = gennape_scores(work, FEW[variant])[0]
    else:
        ensemble = _ensemble(families, variant, seed, ensembles).adapted(work.graphs(work.pool))
        scores = ensemble.predict(iter(work.graphs(work.rest)))[0]
    row: dict[str, Any] = key | figures(work, scores) | {"machine": machine()}
    results.append(row)
    return row


def _ensemble(families: Families, variant: str, seed: int, known: dict[str, ZeroShotEnsemble]) -> ZeroShotEnsemble:
    if variant in ENCODERS:
        return _fitted(families, _encoder(families, ENCODERS[variant], seed), MEMBERS, seed)
    if "every" not in known:
        known["every"] = _fitted(families, families.encoder(seed), (*MEMBERS, *UNTRANSFORMED.values()), seed)
    every = known["every"]
    if variant == "equal weights":
        return replace(every, members={name: every.members[name] for name in MEMBERS}, weighting="equal")
    return replace(every, members={name: every.members[name] for name in SUBSETS[variant]})


def _encoder(families: Families, config: PretrainingConfig, seed: int) -> GraphEncoder:
    spaces = [registry.load("search space", name) for name in SPACES]
    return pretrained_encoder(unlabelled_graphs(spaces, GRAPHS_OF_SPACE, seed), config=config, seed=seed)


def _fitted(families: Families, encoder: GraphEncoder, members: tuple[str, ...], seed: int) -> ZeroShotEnsemble:
    known = {name: families.read(name) for name in OTHERS["nasbench201"]}
    labelled = {name: Family(found.graphs, found.accuracies) for name, found in known.items()}
    return fit_ensemble(labelled, encoder, EnsembleConfig(members=members, calibrate=False), seed=seed)
