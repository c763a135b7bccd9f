"""Files of prompts, and the settings beside them from which the puzzles, and so the targets, can be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reasoning.evaluation.cells import data_hash
from reasoning.prompting import inspect_logs
from reasoning.prompting.text import Form, prompts
from reasoning.records import runs
from reasoning.setup import build
from reasoning.setup.settings import DatasetSettings, Named
from vsa.commands import alone, schema, write_together
from vsa.commands.files import sealed
from vsa.errors import CorruptFileError, SettingsError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset

__all__ = ["PromptSettings", "export", "puzzle_sets", "read_sidecar", "record_of", "sidecar"]


@dataclass(frozen=True)
class PromptSettings:
    """``python -m reasoning.prompts``."""

    seed: schema.Seed  # puzzles, order and stress descend from it
    dataset: DatasetSettings
    perception: Named
    constellation: str | tuple[str, ...]
    form: str
    order: str
    digits: int
    rules: bool = False
    out: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        self.text_form()

    def text_form(self) -> Form:
        """How puzzles are written.

        Returns:
            The form.

        Raises:
            SettingsError: a front-end, or an option of it, that has no text.
        """
        options = dict(self.perception.options)
        unusual = [name for name in ("smoothing", "epsilon", "mixed") if options.pop(name, None) is not None]
        if self.perception.name != "oracle" or unusual:
            what = f"{unusual[0]}={self.perception.options[unusual[0]]}" if unusual else self.perception.name
            raise SettingsError(
                "setting perception",
                received=what,
                expected="oracle with stress, p_left, confounders, seed",
                hint="prompts hold the labels, exact or under stress",
            )
        options["stress_seed"] = options.pop("seed", self.seed)
        supplied = {
            "form": self.form,
            "order": self.order,
            "digits": self.digits,
            "rules": self.rules,
            "seed": self.seed,
        }
        return schema.call(Form, "perception", options, supplied, "prompts")


def export(settings: PromptSettings, out: Path) -> int:
    """Write the prompts and, beside them, the settings.

    Args:
        settings: of the command.
        out: the file.

    Returns:
        The number of prompts.

    Raises:
        VSAError: puzzles that cannot be had, or have no text in this form; a file that cannot be written, or that holds
            something else.
    """
    form = settings.text_form()
    sets = puzzle_sets(settings)
    for puzzles in sets.values():
        form.check(puzzles.arrays)
    lines = []
    for name, puzzles in sets.items():
        for prompt in prompts(name, puzzles.arrays, form):
            lines.append(json.dumps({"id": prompt.id, "form": form.form, "prompt": prompt.text}, ensure_ascii=False))
    runs.prepare_folder(out.parent)
    with alone(out):
        record = runs.json_bytes(sealed(record_of(settings, sets)))
        contents = {out: "".join(f"{line}\n" for line in lines).encode(), sidecar(out): record}
        write_together(str(settings.out), contents, overwrite=settings.overwrite)
    return len(lines)


def record_of(settings: PromptSettings, sets: Mapping[str, PuzzleDataset]) -> dict[str, Any]:
    """What lies beside prompts, so that their puzzles can be made again.

    Args:
        settings: of the prompts.
        sets: those of :func:`puzzle_sets`.

    Returns:
        What :func:`read_sidecar` reads.
    """
    return {
        "settings": {**schema.plain(settings), "out": None, "overwrite": False},
        "sets": {name: {"puzzles": len(puzzles), "data": data_hash(puzzles.arrays)} for name, puzzles in sets.items()},
        "code": runs.code_version(),
    }


def puzzle_sets(settings: PromptSettings) -> dict[str, PuzzleDataset]:
    """The puzzles that the prompts are about.

    Args:
        settings: of the prompts.

    Returns:
        puzzle set -> puzzles.
    """
    dataset = settings.dataset
    return build.puzzle_sets(dataset, settings.constellation, dataset.split, dataset.n)


def sidecar(path: Path) -> Path:
    """Where the settings of a file of prompts lie: ``prompts.jsonl`` -> ``prompts.settings.json``."""
    return path.with_name(f"{path.stem}.settings.json")


def read_sidecar(path: Path) -> tuple[PromptSettings, dict[str, PuzzleDataset]]:
    """The settings and puzzles of a file of prompts, made again.

    Args:
        path: the prompts, or the settings themselves, or a log of Inspect.

    Returns:
        Settings, and puzzle set -> puzzles.

    Raises:
        SettingsError: there is no such file, or its puzzles are others now.
        CorruptFileError: it is no settings of prompts.
    """
    if inspect_logs.is_log(path):
        where, content = path, inspect_logs.record(path)
    else:
        where = path if path.name.endswith(".settings.json") else sidecar(path)
        content = runs.read_record(where)
    asked, made = content.get("settings"), content.get("sets")
    if not isinstance(asked, dict) or not isinstance(made, dict):
        raise CorruptFileError(
            f"read {where}", received="no settings of prompts", expected="what python -m reasoning.prompts wrote"
        )
    settings = schema.build(PromptSettings, asked)
    # Who shares prompts does not say where to write here.
    settings = replace(settings, dataset=replace(settings.dataset, cache_dir=None))
    known = {name: entry.get("data") if isinstance(entry, dict) else None for name, entry in made.items()}
    sets = puzzle_sets(settings)
    found = {name: data_hash(puzzles.arrays) for name, puzzles in sets.items()}
    if found != known:
        different = sorted(name for name in {*found, *known} if found.get(name) != known.get(name))
        raise SettingsError(
            f"read {where}",
            received=f"settings whose puzzles are others now: {', '.join(different)}",
            expected="the puzzles of the prompts",
            hint="write the prompts again, with this version and these files",
        )
    return settings, sets
