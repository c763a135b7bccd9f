"""Where a model's weights come from: a training run, the package, or nowhere (rules written by hand)."""

from __future__ import annotations

from pathlib import Path

from reasoning.settings import ModelSettings
from vsa.errors import SettingsError

__all__ = ["WEIGHTS", "find_weights", "mode_of", "shipped_weights"]

WEIGHTS = "weights.safetensors"


def shipped_weights(model: str) -> Path | None:
    """Weights that come with the package.

    Args:
        model: registered name.

    Returns:
        The file; None where none is shipped.
    """
    path = Path(__file__).resolve().parent / "learners" / "weights" / f"{model}.safetensors"
    return path if path.is_file() else None


def find_weights(checkpoint: str) -> Path:
    """The weights of a finished training run.

    Args:
        checkpoint: the run's folder, or the file itself.

    Returns:
        The file.

    Raises:
        SettingsError: no such folder, or the run is not finished.
    """
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return path
    if (path / WEIGHTS).is_file():
        return path / WEIGHTS
    if (path / "settings.yaml").is_file():
        raise SettingsError(
            f"checkpoint={checkpoint}", received="a run that is not finished",
            hint=f"finish it: python -m reasoning.train resume={checkpoint}",
        )  # fmt: skip
    raise SettingsError(
        f"checkpoint={checkpoint}",
        received="a folder that is no training run" if path.is_dir() else "no such folder",
        expected="the run folder that python -m reasoning.train printed",
    )


def mode_of(model: ModelSettings, checkpoint: str | None) -> str:
    """Where a benchmarked model's weights come from.

    Args:
        model: with ``mode`` as the user set it, None if not.
        checkpoint: the training run given, if any.

    Returns:
        learned, programmed, programmed_then_learned or pretrained.

    Raises:
        SettingsError: mode and checkpoint contradict each other, or nothing has been learned.
    """
    mode = model.mode
    if checkpoint is not None:
        if mode in ("programmed", "pretrained"):
            raise SettingsError(f"model.mode={mode}", received=f"checkpoint={checkpoint}", expected="one of the two")
        return mode or "learned"
    if mode is None:
        return "pretrained" if shipped_weights(model.name) else "programmed"
    if mode in ("learned", "programmed_then_learned"):
        raise SettingsError(
            f"model.mode={mode}", received="no checkpoint", expected="checkpoint=RUN_DIR of a finished training",
            hint=f"make one with python -m reasoning.train +model={model.name}",
        )  # fmt: skip
    if mode == "pretrained" and shipped_weights(model.name) is None:
        raise SettingsError(
            "model.mode=pretrained", received=f"model {model.name}, which comes without weights",
            expected="model.mode=programmed, or checkpoint=RUN_DIR",
        )  # fmt: skip
    return mode
