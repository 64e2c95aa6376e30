"""Puts a run together from settings: every part is found by its name among the installed packages."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from nasengine import registry
from nasengine.errors import ConfigError, DeviceError
from nasengine.optimization import num_processes
from nasengine.pipeline import Parts, Search, SearchSettings
from nasengine.pipeline.settings import PATHWISE
from nasengine.protocols import ElasticSpace, LatencyModel, PoolPredictor, SupernetSpace
from nasengine.store.run_store import read_settings
from nasengine.targets import Device, FirstProcessLatency, Target, limits_of, load_target

if TYPE_CHECKING:
    from nasengine.data import ImageDataset
    from nasengine.pipeline.task import Progress
    from nasengine.pipeline.workers import Workers


ANY_DEVICE, MEASURED = "any-onnx", "measured"


def assemble(
    settings: SearchSettings,
    progress: "Progress",
    *,
    workers: "Workers | None" = None,
    dataset: "ImageDataset | None" = None,
) -> Search:
    """Find all parts by name; nothing is written before all of them are there.

    Args:
        settings: of the run.
        progress: is told about every step.
        workers: do parts of the run elsewhere, if there are any.
        dataset: images, where they are not to be read from what the settings name.

    Raises:
        ConfigError: a part that is missing or does not do what a search needs.
        DeviceError: no GPU where one is asked for.
    """
    space = registry.load("search space", settings.space)
    if not isinstance(space, SupernetSpace | ElasticSpace):
        raise ConfigError(
            f"search space {settings.space!r}: expected one that states a supergraph or an elastic supernet, to be "
            "searched"
        )
    device_of(settings.device)
    parts = Parts(
        space=space,
        dataset=dataset or load_images(settings),
        exporter=registry.load("exporter", "onnx"),
        make_strategy=registry.load("strategy", settings.strategy),
        predictor=None if settings.predictor is None else load_predictor(settings.predictor),
        device=load_device(settings),
        workers=workers,
    )
    found = Search(settings, parts, progress)
    found.check_sizes()
    return found


def completed(space: str, training: str | None, selection: str | None, strategy: str | None) -> dict[str, str]:
    """Ways of training, selecting and proposing: those that are given, the usual ones of the space for the others.

    Args:
        space: its name.
        training, selection, strategy: as in ``SearchSettings``, None where they were not given.

    >>> completed("mobilenet", None, None, None)
    {'training': 'sandwich', 'selection': 'sampled-paths', 'strategy': 'regularized_evolution'}
    """
    found = registry.load("search space", space)
    is_elastic = isinstance(found, ElasticSpace) and not isinstance(found, SupernetSpace)
    chosen = training or ("sandwich" if is_elastic else "fixed")
    return {
        "training": chosen,
        "selection": selection or ("sampled-paths" if chosen in PATHWISE else "perturbation"),
        "strategy": strategy or ("regularized_evolution" if is_elastic else "random"),
    }


def load_images(settings: SearchSettings) -> "ImageDataset":
    """The images that the settings name.

    Raises:
        DataError: nothing there, or what is there cannot be used.
    """
    from nasengine.data import load_dataset

    named = {name: partial(_load_named, name) for name in registry.names("dataset")}
    return load_dataset(settings.data, named)


def load_device(settings: SearchSettings) -> Device | None:
    """The device that a search is for, with its limits and what predicts latency there; None for no device.

    Raises:
        UnknownNameError: no such target.
        ConfigError: limits without what they need.
    """
    limited = [name for name, value in settings.own_limits.items() if value is not None]
    if settings.target is None and not limited:
        return None
    target = load_target(settings.target or ANY_DEVICE)
    latency = load_latency(target)
    if latency is not None and num_processes() > 1:
        latency = FirstProcessLatency(latency)
    return Device(target, limits_of(target, settings.own_limits), latency)


def load_latency(target: Target) -> LatencyModel | None:
    """What predicts or measures latency on a target; None where nothing is known.

    Raises:
        ConfigError: a model that is neither installed nor a file.
    """
    known = target.latency
    if known is None or known.model is None:
        return None if known is None else registry.load("latency model", MEASURED)(known.threads)
    suffix = Path(known.model).suffix.removeprefix(".")
    if known.model not in registry.names("latency model") and suffix in registry.names("latency file"):
        return registry.load("latency file", suffix)(Path(known.model))
    return registry.load("latency model", known.model)()


def load_predictor(name: str) -> PoolPredictor:
    """A registered predictor, or one that ``nasengine predictor fit`` or ``pretrain`` wrote to a file.

    Raises:
        ConfigError: neither, or one that cannot predict yet.
    """
    suffix = Path(name).suffix.removeprefix(".")
    if name not in registry.names("predictor") and suffix in registry.names("predictor file"):
        found = registry.load("predictor file", suffix)(Path(name))
    else:
        found = registry.load("predictor", name)()
    if not isinstance(found, PoolPredictor):
        raise ConfigError(f"--predictor {name}: expected one that predicts before it is fitted, such as gennape")
    return found


def settings_of(run: Path) -> SearchSettings:
    """Settings of a run folder.

    Raises:
        StoreError: no run folder.
        ConfigError: settings of another version.
    """
    return SearchSettings.read(read_settings(run), f"run folder {run}, settings")


def device_of(name: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is the latter where there is one.

    Raises:
        ConfigError: another name.
        DeviceError: ``cuda`` without a GPU.
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"--device: expected auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("--device cuda: expected a GPU that torch can use, got none; use --device cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


def absolute(name: str | None) -> str | None:
    """Paths are stored so that a run can be resumed from anywhere; names of data sets and predictors stay."""
    known = [*registry.names("dataset"), *registry.names("predictor")]
    try:
        is_path = name is not None and name not in known and Path(name).exists()
    except OSError:  # too long for a path
        is_path = False
    return str(Path(name).resolve()) if is_path and name is not None else name


def _load_named(name: str) -> "ImageDataset":
    return registry.load("dataset", name)()
