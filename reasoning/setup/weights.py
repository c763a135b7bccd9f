"""Weights and their header, which holds all that shapes a result; and where they come from.

A file has the learner's tensors under ``learner.`` and those of a perception front-end under ``perception.``. Weights
are those of a training run, or come with the package, or there are none (rules written by hand).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from datasets.layout import Layout
from reasoning.records import runs
from reasoning.records.checkpoints import load_weights, read_tensors, write_tensors
from reasoning.setup.front_end import FrontEnd
from reasoning.setup.settings import ModelSettings, Named
from vsa.commands import schema
from vsa.commands.files import taking_apart
from vsa.errors import CorruptFileError, SettingsError, UnknownNameError, VSAError

if TYPE_CHECKING:
    from reasoning.setup.recipe import Recipe

__all__ = [
    "FORMAT",
    "FRONT_END",
    "LEARNER",
    "PERCEPTION",
    "SHIPPED",
    "WEIGHTS",
    "Header",
    "find_weights",
    "load_part",
    "read_header",
    "shipped_front_end",
    "shipped_weights",
    "write_weights",
]

WEIGHTS = "weights.safetensors"
SHIPPED = "shipped"  # perception.checkpoint: the weights that come along
FRONT_END = "perception.safetensors"  # what a run with perception.checkpoint= began with
LEARNER, PERCEPTION = "learner", "perception"  # the parts of a solver, which prefix its tensors
FORMAT = 2  # 1 had the learner's tensors without a prefix, and neither perception, backend nor range


@dataclass(frozen=True)
class Header:
    """What a file of weights says about itself.

    Attributes:
        format: version of the file's form.
        model: name, mode, options and training settings; None in a file of a front-end alone.
        algebra: of the learner.
        backend: of the learner, while it was trained.
        perception: the front-end.
        layout: of the puzzles that it was trained on: columns, range of values, constellations.
        seed: of atoms and initial weights.
        protocol: what it was trained on, in a sentence.
        parts: which parts have weights in the file.
    """

    format: int
    model: ModelSettings | None
    algebra: Named
    backend: Named
    perception: FrontEnd
    layout: Layout
    seed: int = 0
    protocol: str = ""
    parts: tuple[str, ...] = field(default=(LEARNER,))


def write_weights(path: Path, weights: Mapping[str, Tensor], recipe: Recipe, protocol: str) -> None:
    """Write the weights of a solver.

    Args:
        path: where to.
        weights: name -> tensor, the names prefixed with the part.
        recipe: of the solver.
        protocol: what it was trained on, in a sentence.

    Raises:
        WriteError: the file could not be written.
    """
    write_tensors(path, weights, {"format": FORMAT, **recipe.header(), "protocol": protocol})


def read_header(path: Path) -> Header:
    """What a file of weights says about itself.

    Args:
        path: the file.

    Returns:
        The header.

    Raises:
        SettingsError: no such file; a form that is newer than this code, or older and no longer clear.
        CorruptFileError: damaged, or something else than weights.
    """
    _, header = _read(path)
    return header


def load_part(part: nn.Module, path: Path, name: str) -> None:
    """Put one part's weights into it.

    Args:
        part: the learner or the front-end, freshly constructed.
        path: the file.
        name: LEARNER or PERCEPTION.

    Raises:
        SettingsError: the file has none for this part.
        CorruptFileError: names or shapes are another model's.
    """
    tensors, header = _read(path)
    if name not in header.parts and part.state_dict():
        raise SettingsError(
            f"load {path}", received=f"weights without a {name}", expected=f"those of a {type(part).__name__}"
        )
    prefix = f"{name}."
    own = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    load_weights(part, own, f"read {path}")


def _read(path: Path) -> tuple[dict[str, Tensor], Header]:
    if not path.is_file():
        raise SettingsError(f"read {path}", received="no such file", expected="weights written by a training run")
    status = path.stat()
    return _read_version(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)  # a benchmark asks for the same file once for every puzzle set
def _read_version(path: Path, modified: int, size: int) -> tuple[dict[str, Tensor], Header]:
    tensors, stored = read_tensors(path)
    version = stored.get("format", 1)
    if not isinstance(version, int) or version > FORMAT:
        raise SettingsError(
            f"read {path}",
            received=f"weights of format {version}",
            expected=f"at most {FORMAT}, known to this code",
            hint="update the package",
        )
    if version == 1:
        stored = _upgraded(path, stored)
        tensors = {f"{LEARNER}.{name}": tensor for name, tensor in tensors.items()}
    known = {name: value for name, value in stored.items() if name in Header.__dataclass_fields__}
    parts = [part for part in (PERCEPTION, LEARNER) if any(name.startswith(f"{part}.") for name in tensors)]
    try:
        return tensors, schema.build(Header, {**known, "format": version, "parts": parts}, "header")
    except VSAError as error:
        raise CorruptFileError(f"read {path}", received=f"a header that is no model's ({error})") from error


def _upgraded(path: Path, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The header of format 1 together with the settings of its run, which say what it left out."""
    for name in ("model", "algebra", "columns"):
        if name not in stored:
            raise CorruptFileError(
                f"read {path}", received=f"a header without {name!r}", expected="weights of a training run"
            )
    if not (path.parent / "settings.yaml").is_file():
        raise SettingsError(
            f"read {path}",
            received="weights of format 1, which do not say what perception they were trained with",
            expected="the settings.yaml of their run beside them",
            hint="give the run's folder, or train again: python -m reasoning.train",
        )
    from reasoning.setup import build
    from reasoning.setup.settings import DatasetSettings

    settings = runs.read_settings(path.parent)
    with taking_apart(path):
        seed, columns = int(stored.get("seed", 0)), int(stored["columns"])
    with taking_apart(path.parent / "settings.yaml"):
        data = settings["dataset"]
        data = {key: data[key] for key in DatasetSettings.__dataclass_fields__ if key in data}
        layout = build.layout(schema.build(DatasetSettings, data), settings["constellation"], columns)
        perception = {key: settings["perception"][key] for key in ("name", "options")}
        return {
            **stored,
            "backend": settings["backend"],
            "layout": schema.plain(layout),
            "perception": {
                "perception": perception,
                "algebra": settings["algebra"],
                "backend": settings["backend"],
                "seed": seed,
                "layout": schema.plain(layout),
            },
        }


def shipped_weights(model: str, which: str | None = None, columns: int | None = None) -> Path | None:
    """Weights that come with the package.

    Args:
        model: registered name.
        which: of several; None: those without a name of their own.
        columns: n, panels in a row; where ``which`` is None, weights trained on rows of this length come first.

    Returns:
        The file; None where none is shipped.

    Raises:
        UnknownNameError: there are none of that name.
    """
    folder = Path(__file__).resolve().parents[1] / "learners" / "weights"
    others = {path.stem.partition("-")[2]: path for path in sorted(folder.glob(f"{model}-*.safetensors"))}
    if which is not None:
        if which not in others:
            raise UnknownNameError("model.weights", name=which, known=others, kind=f"weights of {model}")
        return others[which]
    path = folder / f"{model}.safetensors"
    if columns is not None and path.is_file() and read_header(path).layout.columns != columns:
        path = next((one for one in others.values() if read_header(one).layout.columns == columns), path)
    return path if path.is_file() else None


def shipped_front_end(perception: Named) -> Path | None:
    """Weights of a front-end that come with the package.

    Args:
        perception: name, and options: weights fit those that they were trained with, but for the options that their
            front-end declares not to depend on.

    Returns:
        The file; None where none is shipped for these options.
    """
    from reasoning import perception as front_ends

    if perception.name not in front_ends.PERCEPTIONS:
        return None
    free = front_ends.get(perception.name).free_options
    folder = Path(__file__).resolve().parents[1] / "perception" / "weights"
    for path in sorted(folder.glob("*.safetensors")):
        stored = read_header(path).perception.perception
        differing = {
            key
            for key in {*stored.options, *perception.options}
            if stored.options.get(key) != perception.options.get(key)
        }
        if stored.name == perception.name and differing <= free:
            return path
    return None


def find_weights(checkpoint: str, setting: str = "checkpoint") -> Path:
    """The weights of a finished training run.

    Args:
        checkpoint: the run's folder, or the file itself.
        setting: what the user called it, for messages.

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
            f"{setting}={checkpoint}",
            received="a run that is not finished",
            hint=f"finish it: python -m reasoning.train resume={checkpoint}",
        )
    raise SettingsError(
        f"{setting}={checkpoint}",
        received="a folder that is no training run" if path.is_dir() else "no such folder",
        expected="the run folder that python -m reasoning.train printed",
    )
