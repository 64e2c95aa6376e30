"""What the budgets mean for spaces of small networks; spaces change what is different for them."""

from dataclasses import replace

from nasengine.protocols import SearchScale, TrainingRecipe

SUPERNET = TrainingRecipe(epochs=50, batch_size=64, learning_rate=0.025, final_learning_rate=0.001)
"""That of DARTS (Liu, Simonyan and Yang, 2019, section 3.1)."""

QUICK = SearchScale(
    supernet_channels=4, supernet_cells=1,
    supernet=replace(SUPERNET, epochs=2), tuning_epochs=0,
    final_channels=8, final_cells=1, final=TrainingRecipe(epochs=10, learning_rate=0.1, nesterov=True),
    max_train_images=1024, max_test_images=1000, max_image_size=16, sampled_paths=10,
    scoring_batches=3, halving_epochs=1,
)  # fmt: skip
STANDARD = SearchScale(
    supernet_channels=8, supernet_cells=1,
    supernet=replace(SUPERNET, epochs=20), tuning_epochs=2,
    warmup_epochs=5, leaf_epochs=12, halving_epochs=20, scoring_batches=20,
    final_channels=16, final_cells=1,
    final=TrainingRecipe(epochs=40, batch_size=64, learning_rate=0.1, weight_decay=5e-4, nesterov=True),
)  # fmt: skip
FULL = SearchScale(
    supernet_channels=16, supernet_cells=5,
    supernet=replace(SUPERNET, epochs=100), tuning_epochs=5,
    splits=2, warmup_epochs=15, epochs_between_splits=15, leaf_epochs=30, halving_epochs=12, scoring_batches=100,
    selection_batch_size=64, sampled_paths=200,
    final_channels=16, final_cells=5,
    final=TrainingRecipe(
        epochs=200, batch_size=256, learning_rate=0.1, weight_decay=5e-4, nesterov=True, gradient_clip=None
    ),
)  # fmt: skip
"""NAS-Bench-201: search as in Wang et al., 2021; training as in the benchmark (Dong and Yang, 2020, table 1)."""
