"""The files in fewer bits of a bundle, each with how it was made in words."""

import copy
import tempfile
from pathlib import Path

import onnx

from export.calibration import calibration_images, validation_images
from export.card_writing import Made
from export.float16 import to_float16
from export.onnx import export_onnx
from export.quantization import QuantizationReport, QuantizationSettings, host_settings, quantize_int8
from export.quantization_training import int8_recipe, train_for_int8
from export.winner import Winner
from nasengine.pipeline.exporting import deployed_network
from nasengine.targets import Target

INTEGER_RUNTIMES = ("litert", "litert-micro")
SEED = 0


def write_float16(source: Path, path: Path, winner: Winner) -> Made:
    """Write a float32 file in half precision, compared with it on validation images.

    Raises:
        ExportError: numbers that half precision cannot hold, or a file that cannot be written.
    """
    report = to_float16(source, path, images=validation_images(winner.dataset).images)
    method = f"weights and values in half precision, logits within {report.max_deviation:.1e} of {source.name}'s"
    return Made(path, "float16", method)


def write_int8(source: Path, path: Path, winner: Winner, *, target: Target | None, tuning_epochs: int = 0) -> Made:
    """Quantise a float32 file; ranges come from training images, the method is chosen on validation images.

    Args:
        source: float32 file of the winner.
        path: file to write.
        winner: whose training images are used.
        target: runtimes of microcontrollers take signed activations and explicit biases, others what suits here.
        tuning_epochs: of training that rounds as the file will; what comes of it is kept where it is more accurate.

    Raises:
        ExportError: the file cannot be quantised or written.
        TrainingError: the training diverged.
    """
    plain = _quantize(source, path, winner, target)
    method, accuracy = _method(plain), plain.accuracy
    if tuning_epochs:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".tuned-") as folder:
            other, tuned = Path(folder) / source.name, Path(folder) / path.name
            _write_tuned(source, other, winner, tuning_epochs)
            report = _quantize(other, tuned, winner, target)
            figures = f"{tuning_epochs} epochs of training with int8: accuracy {accuracy:.4f} without, "
            method += f"; {figures}{report.accuracy:.4f} with, "
            method += "which is kept" if report.accuracy > accuracy else "so that it was not kept"
            if report.accuracy > accuracy:
                accuracy = report.accuracy
                tuned.replace(path)
    return Made(path, "int8", method, validation_drop=plain.float_accuracy - accuracy)


def _quantize(source: Path, path: Path, winner: Winner, target: Target | None) -> QuantizationReport:
    integer = target is not None and target.runtime in INTEGER_RUNTIMES
    return quantize_int8(
        source,
        path,
        calibration=calibration_images(winner.dataset, seed=SEED),
        validation=validation_images(winner.dataset),
        settings=QuantizationSettings(activation_type="int8", explicit=True) if integer else host_settings(),
    )


def _write_tuned(source: Path, path: Path, winner: Winner, epochs: int) -> None:
    """A float32 file like ``source`` of a network that was trained with int8 in the loop."""
    network = copy.deepcopy(winner.network).to(winner.dataset.train.images.device)
    recipe = int8_recipe(winner.recipe, epochs)
    tuned = train_for_int8(network, winner.dataset, recipe, seed=winner.seed)
    model = onnx.load(source)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    is_static = model.graph.input[0].type.tensor_type.shape.dim[0].dim_value > 0
    images = validation_images(winner.dataset).images
    export_onnx(deployed_network(tuned), images, path, metadata, is_static=is_static)


def _method(report: QuantizationReport) -> str:
    settings = report.settings
    bits = 7 if settings.reduce_range else 8
    accuracies = ", ".join(f"{trial.method} {trial.accuracy:.4f}" for trial in report.trials)
    return (
        f"static quantisation, weights int8 ({bits} bits) by channel, activations {settings.activation_type}, ranges "
        f"by {report.method} from {report.num_calibration_images} training images; accuracy on validation images, "
        f"which the final training has seen as well: float32 {report.float_accuracy:.4f}, {accuracies}"
    )
