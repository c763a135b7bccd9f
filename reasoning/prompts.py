"""``python -m reasoning.prompts out=FILE.jsonl``: puzzles as text for language models, without the answers.

Beside the prompts lies ``FILE.settings.json``, from which the puzzles, and so the targets, can be made again: keep it,
and give the prompts away.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reasoning.evaluation.cells import data_hash
from reasoning.prompting.text import Form, prompts
from reasoning.records import runs
from reasoning.records.checkpoints import write_atomically
from reasoning.setup import build, commands, schema
from reasoning.setup.settings import DatasetSettings, Named
from reasoning.tables import tables as report
from vsa.errors import CorruptFileError, SettingsError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleDataset

__all__ = ["PromptSettings", "export", "main", "parse", "puzzle_sets", "read_sidecar", "sidecar"]

USAGE = """python -m reasoning.prompts out=FILE.jsonl [key=value ...]

Writes puzzles as text, one JSON object a line with id, form and prompt, and FILE.settings.json, from which the right
answers can be made again. Without that file the prompts tell nobody the answers.

  dataset=iraven_x dataset.n=200 dataset.columns=10 dataset.maxval=1000
  dataset=iraven constellation=[center,left_right]
  form=discriminative                choose one of eight candidates; form=predictive: say the numbers
  dataset.confounders=10             properties without a rule
  order=shuffled                     properties in another order in each puzzle
  perception.stress=published perception.p_left=0.51    values with probabilities
  out=FILE.jsonl overwrite=true      where to, and whether a file may be replaced
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too

Answers, one JSON object a line with id and answer, are scored by
  python -m reasoning.benchmark answers=ANSWERS.jsonl prompts=FILE.jsonl out=DIR
Every setting is in conf/prompts.yaml and the folders beside it."""


@dataclass(frozen=True)
class PromptSettings:
    """``python -m reasoning.prompts``."""

    seed: int  # puzzles, order and stress descend from it
    dataset: DatasetSettings
    perception: Named
    constellation: str | tuple[str, ...]
    form: str
    order: str
    digits: int
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
                "setting perception", received=what, expected="oracle with stress, p_left, confounders, seed",
                hint="prompts hold the labels, exact or under stress",
            )  # fmt: skip
        options["stress_seed"] = options.pop("seed", self.seed)
        supplied = {"form": self.form, "order": self.order, "digits": self.digits, "seed": self.seed}
        return schema.call(Form, "perception", options, supplied, "prompts")


def main(arguments: list[str]) -> int:
    """The command without its error handling.

    Args:
        arguments: overrides.

    Returns:
        The exit code.
    """
    settings = parse([argument for argument in arguments if argument != "--cfg"])
    if "--cfg" in arguments:
        import yaml

        report.say(str(yaml.safe_dump(schema.plain(settings), sort_keys=False)))
        return 0
    if settings.out is None:
        raise SettingsError("setting out", received="nothing", expected="a file", hint="write out=prompts.jsonl")
    out = Path(settings.out).expanduser()
    there = [path for path in (out, sidecar(out)) if path.exists()]
    if there and not (settings.overwrite and all(path.is_file() for path in there)):
        raise SettingsError(
            f"out={settings.out}", received=f"{there[0]}, which exists", hint="choose another, or say overwrite=true"
        )
    count = export(settings, out)
    report.say(f"{count} prompts in {out}")
    report.say(f"the settings, from which the answers follow, in {sidecar(out)}")
    return 0


def parse(arguments: Sequence[str]) -> PromptSettings:
    """Settings from the command line.

    Args:
        arguments: overrides.

    Returns:
        Validated settings.

    Raises:
        VSAError: an unknown key, a wrong type, a value that makes no sense.
    """
    composed = commands.compose_evaluation("prompts", arguments)
    settings = schema.build(PromptSettings, commands.separate(composed, PromptSettings))
    build.constellations(settings.constellation, settings.dataset)
    return settings


def export(settings: PromptSettings, out: Path) -> int:
    """Write the prompts and, beside them, the settings.

    Args:
        settings: of the command.
        out: the file.

    Returns:
        The number of prompts.

    Raises:
        VSAError: puzzles that cannot be had, or have no text in this form; a file that cannot be written.
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
    content = {
        "settings": {**schema.plain(settings), "out": None, "overwrite": False},
        "sets": {name: {"puzzles": len(puzzles), "data": data_hash(puzzles.arrays)} for name, puzzles in sets.items()},
        "code": runs.code_version(),
    }
    write_atomically(out, "".join(f"{line}\n" for line in lines).encode())
    runs.write_json(sidecar(out), content)
    return len(lines)


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
        path: the prompts, or the settings themselves.

    Returns:
        Settings, and puzzle set -> puzzles.

    Raises:
        SettingsError: there is no such file, or its puzzles are others now.
        CorruptFileError: it is no settings of prompts.
    """
    where = path if path.name.endswith(".settings.json") else sidecar(path)
    content: Any = runs.read_json(where)
    asked, made = (content.get("settings"), content.get("sets")) if isinstance(content, dict) else (None, None)
    if not isinstance(asked, dict) or not isinstance(made, dict):
        raise CorruptFileError(
            f"read {where}", received="no settings of prompts", expected="what python -m reasoning.prompts wrote"
        )
    settings = schema.build(PromptSettings, asked)
    known = {name: entry.get("data") if isinstance(entry, dict) else None for name, entry in made.items()}
    sets = puzzle_sets(settings)
    found = {name: data_hash(puzzles.arrays) for name, puzzles in sets.items()}
    if found != known:
        different = sorted(name for name in {*found, *known} if found.get(name) != known.get(name))
        raise SettingsError(
            f"read {where}", received=f"settings whose puzzles are others now: {', '.join(different)}",
            expected="the puzzles of the prompts", hint="write the prompts again, with this version and these files",
        )  # fmt: skip
    return settings, sets


if __name__ == "__main__":
    sys.exit(commands.run_command(main, usage=USAGE))
