"""``python -m reasoning.prompts out=FILE.jsonl``: puzzles as text for language models, without the answers.

Beside the prompts lies ``FILE.settings.json``, from which the puzzles, and so the targets, can be made again: keep it,
and give the prompts away.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from reasoning.prompting.files import PromptSettings, export, sidecar
from reasoning.setup import build, commands
from vsa.commands import schema, screen
from vsa.errors import SettingsError

__all__ = ["main", "parse"]

USAGE = """python -m reasoning.prompts out=FILE.jsonl [key=value ...]

Writes puzzles as text, one JSON object a line with id, form and prompt, and FILE.settings.json, from which the right
answers can be made again. Without that file the prompts tell nobody the answers.

  dataset=iraven_x dataset.n=200 dataset.columns=10 dataset.maxval=1000
  dataset=iraven 'constellation=[center,left_right]'
  form=discriminative                choose one of eight candidates; form=predictive: say the numbers
  dataset.confounders=10             properties without a rule
  rules=true                         ask for the rules, too
  order=shuffled                     properties in another order in each puzzle
  perception.stress=published perception.p_left=0.51    values with probabilities
  out=FILE.jsonl overwrite=true      where to, and whether a file may be replaced
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Answers, one JSON object a line with id and answer, are scored by
  python -m reasoning.benchmark answers=ANSWERS.jsonl prompts=FILE.jsonl out=DIR
Every setting is in conf/prompts.yaml and the folders beside it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: the command line; by default that of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    return commands.run_command(_run, arguments, USAGE, parse, "the same command starts again")


def _run(overrides: list[str]) -> None:
    settings = parse(overrides)
    if settings.out is None:
        raise SettingsError("setting out", received="nothing", expected="a file", hint="write out=prompts.jsonl")
    out = Path(settings.out).expanduser()
    count = export(settings, out)
    screen.say(f"{count} prompts in {out}")
    screen.say(f"the settings, from which the answers follow, in {sidecar(out)}")


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


if __name__ == "__main__":
    sys.exit(main())
