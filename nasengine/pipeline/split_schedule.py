"""When a search splits its supernet, and into how many parts."""

from dataclasses import replace

from nasengine.pipeline.settings import SearchSettings
from nasengine.protocols import SearchScale
from nasengine.supernet.splitting import PRESETS, GradientMatching, SplitSchedule


def schedule_of(settings: SearchSettings, scale: SearchScale) -> SplitSchedule:
    """The preset that the settings name, or the budget's schedule with what the settings change."""
    if settings.preset is not None:
        chosen = PRESETS[settings.preset]
        return replace(chosen, by=settings.split_by, ways=settings.ways, restart=settings.restart_leaves)
    return SplitSchedule(
        warmup_epochs=scale.warmup_epochs,
        num_splits=scale.splits if settings.splits is None else settings.splits,
        ways=settings.ways,
        epochs_between=scale.epochs_between_splits,
        leaf_epochs=scale.leaf_epochs,
        restart=settings.restart_leaves,
        by=settings.split_by,
        single_path=settings.training == "single-path",
        settings=GradientMatching(
            max_batches=scale.scoring_batches,
            min_batches=max(2, scale.scoring_batches // 4),
            batch_size=scale.scoring_batch_size,
        ),
    )
