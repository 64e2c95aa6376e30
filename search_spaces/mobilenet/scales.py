"""What the budgets mean for the elastic supernet of once-for-all."""

from dataclasses import replace

from nasengine.protocols import SearchScale, TrainingRecipe

_SUPERNET = TrainingRecipe(epochs=120, batch_size=64, learning_rate=0.05, nesterov=True)
_FINE_TUNING = TrainingRecipe(epochs=10, batch_size=64, learning_rate=0.01, nesterov=True)

ELASTIC_SCALES = {
    "quick": SearchScale(
        supernet_channels=4, supernet_cells=1,
        supernet=replace(_SUPERNET, epochs=9, batch_size=16), tuning_epochs=0,
        final_channels=4, final_cells=1, final=replace(_FINE_TUNING, epochs=2, batch_size=32),
        max_train_images=1024, max_test_images=1000, max_image_size=16, sampled_paths=30,
        splits=0, warmup_epochs=5, leaf_epochs=2, scoring_batches=2,
    ),
    "standard": SearchScale(
        supernet_channels=8, supernet_cells=1,
        supernet=replace(_SUPERNET, epochs=60), tuning_epochs=0,
        final_channels=8, final_cells=1, final=_FINE_TUNING, sampled_paths=200,
        splits=0, warmup_epochs=40, epochs_between_splits=5, leaf_epochs=10, scoring_batches=10,
    ),
    # The widths of the paper; its 180 + 3 x 120 epochs on ImageNet are far fewer steps a weight on smaller data.
    "full": SearchScale(
        supernet_channels=16, supernet_cells=1,
        supernet=replace(_SUPERNET, epochs=300, batch_size=128), tuning_epochs=0,
        final_channels=16, final_cells=1, final=replace(_FINE_TUNING, epochs=25), sampled_paths=500,
        splits=0, warmup_epochs=200, epochs_between_splits=25, leaf_epochs=50, scoring_batches=30,
    ),
}  # fmt: skip
"""Networks have the size of the supernet, since they inherit its weights; ``final`` is their fine-tuning."""
