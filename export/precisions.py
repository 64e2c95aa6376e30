"""The files in fewer bits of a bundle, each with how it was made in words."""

from pathlib import Path

from export.calibration import calibration_images, validation_images
from export.card_writing import Made
from export.quantization import QuantizationReport, QuantizationSettings, host_settings, quantize_int8
from export.winner import Winner
from nasengine.targets import Target

INTEGER_RUNTIMES = ("litert", "litert-micro")
SEED = 0


def write_int8(source: Path, path: Path, winner: Winner, target: Target | None) -> Made:
    """Quantise a float32 file; ranges come from training images, the method is chosen on validation images.

    Args:
        source: float32 file.
        path: file to write.
        winner: whose training images are used.
        target: runtimes of microcontrollers take signed activations and whole biases; others what suits this machine.

    Raises:
        ExportError: the file cannot be quantised or written.
    """
    dataset = winner.dataset
    report = quantize_int8(
        source,
        path,
        calibration=calibration_images(dataset, seed=SEED),
        validation=validation_images(dataset),
        settings=_settings(target),
    )
    return Made(path, "int8", _method(report), validation_drop=report.drop)


def _settings(target: Target | None) -> QuantizationSettings:
    if target is not None and target.runtime in INTEGER_RUNTIMES:
        return QuantizationSettings(activation_type="int8", integer_bias=True)
    return host_settings()


def _method(report: QuantizationReport) -> str:
    settings = report.settings
    bits = 7 if settings.reduce_range else 8
    accuracies = ", ".join(f"{trial.method} {trial.accuracy:.4f}" for trial in report.trials)
    return (
        f"static quantisation, weights int8 ({bits} bits) by channel, activations {settings.activation_type}, ranges "
        f"by {report.method} from {report.num_calibration_images} training images; accuracy on validation images, "
        f"which the final training has seen as well: float32 {report.float_accuracy:.4f}, {accuracies}"
    )
