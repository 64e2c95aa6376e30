"""Builds a pretrained predictor: graphs of many spaces, an encoder without labels, an ensemble with some families'."""

import random
from collections.abc import Callable, Iterable, Mapping

from nasengine.graph import ComputationGraph
from nasengine.protocols import SearchSpace
from predictors.gennape.encoder import EncoderConfig, GraphEncoder
from predictors.gennape.ensemble_fitting import EnsembleConfig, Family, fit_ensemble
from predictors.gennape.gennape import Gennape
from predictors.gennape.pretraining import Pretraining, PretrainingConfig, UnlabelledPool

SPACES = ("darts", "hiaml", "inception", "nasbench101", "nasbench201", "nasbench_macro", "two_path")
"""Spaces whose graphs the shipped encoder saw; without labels, so that the space that is searched may be among them."""
GRAPHS_OF_SPACE = 600


def unlabelled_graphs(spaces: Iterable[SearchSpace], count: int, seed: int) -> list[ComputationGraph]:
    """Random networks of each space, as its own defaults build them."""
    graphs = []
    for space in spaces:
        rng = random.Random(f"{seed}, {space.name}")
        graphs += [space.to_graph(space.sample(rng), space.defaults) for _ in range(count)]
    return graphs


def pretrained_encoder(
    graphs: list[ComputationGraph],
    *,
    encoder: EncoderConfig | None = None,
    config: PretrainingConfig | None = None,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> GraphEncoder:
    """Pretrain an encoder in one go; ``nasengine predictor pretrain`` does it in steps that can be interrupted."""
    task = Pretraining(UnlabelledPool.of(graphs), encoder or EncoderConfig(), config or PretrainingConfig(), seed=seed)
    step = 0
    while step < task.num_steps:
        report(f"epoch {step + 1} of {task.num_steps}: loss {task.run_step(step)['loss']}")
        step += 1
    return task.finished_encoder()


def pretrained_gennape(
    families: Mapping[str, Family],
    encoder: GraphEncoder,
    config: EnsembleConfig | None = None,
    *,
    seed: int = 0,
    report: Callable[[str], None] = lambda line: None,
) -> Gennape:
    """A predictor that knows these families' labels and no others."""
    return Gennape(fit_ensemble(families, encoder, config or EnsembleConfig(), seed=seed, report=report))
