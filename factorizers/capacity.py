"""``python -m factorizers.capacity``: accuracy, iterations and time against the size of the search space."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vsa
from vsa import SettingsError, UnknownNameError

from . import FACTORIZERS
from .wanted import SWEPT, check_settings

__all__ = ["compose_settings", "main"]

# What a cell is made of; what the files say of it is right already.
_SHAPING = ("factorizer", "experiment", "algebra", "algebra_name", "algebra_options", "backend", "damage", *SWEPT)
MODULE_LINE = "python -m factorizers.capacity"

USAGE = """python -m factorizers.capacity +factorizer=NAME [key=value ...]

Measures a factorizer on fresh codebooks and queries: answers that are right in all factors, answers that re-binding
certifies, iterations, time, and brute force beside it. A query is a product of random atoms.

  +factorizer=resonator|in_memory|asymmetric|block_code|group_search|exhaustive|join
  factorizer.OPTION=VALUE            options of that method, in conf/factorizer/NAME.yaml
  experiment=NAME                    a published setting, in conf/experiment; brings its factorizer
  algebra=map                        any registered algebra; the method's customary one unless named
  algebra.OPTION=VALUE               options of that algebra's constructor beside dim and blocks
  dim=256 factors=3 'size=[46,100,256]' blocks=4 queries=1000 draws=10 seed=7
  noise=0.1 damage=flips|gaussian|blocks|missing
  backend=NAME backend.KEY=VALUE     where codebooks are stored: a file of conf/backend; digital is exact
  backend.device.name=NAME backend.device.OPTION=VALUE   what simulated arrays consist of
  executor=serial|processes|ray|slurm workers=2 threads=1
  out=FILE.json plot=FILE.png overwrite=true
  --cfg                              print the settings and stop
  --debug                            tracebacks for mistakes too
  --version                          print the version and stop

Lists make a cell of every combination. An interrupted command goes on where it stopped. All settings are in
conf/capacity.yaml."""


def compose_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """Compose conf/capacity.yaml.

    Args:
        arguments: hydra overrides; ``experiment=NAME`` brings its factorizer unless one is named.

    Returns:
        Plain settings.

    Raises:
        SettingsError: hydra refuses them, or no factorizer was named.
    """
    from omegaconf import OmegaConf

    plain, experiments, named = [], [], False
    for override, argument in zip(vsa.commands.parse(arguments), arguments, strict=True):
        if override.key_or_group == "factorizer" and not override.is_add():
            raise SettingsError(
                f"argument {vsa.commands.quoted(argument)}",
                received="no plus",
                expected=f"+factorizer={override.value()}",
            )
        named = named or override.key_or_group == "factorizer"
        if override.key_or_group == "algebra":  # conf/algebra is of the reasoners: with its own dimension
            plain.append(f"algebra_name={override.value()}")
        elif override.key_or_group.startswith("algebra."):
            plain.append("++algebra_options." + argument.lstrip("+").removeprefix("algebra."))
        elif override.key_or_group == "experiment":
            experiments.append(_experiment(str(override.value())))
        else:
            plain.append(argument)
    brought = [f"+factorizer={name}" for _, name in experiments if not named]
    files = [f"+experiment={experiment}" for experiment, _ in experiments]
    composed = vsa.commands.settle("capacity", [*brought, *plain, *files], _without_file)
    if OmegaConf.is_missing(composed, "factorizer"):
        raise SettingsError(
            MODULE_LINE,
            received="no factorizer",
            expected=f"one of: {', '.join(vsa.commands.conf_files('factorizer'))}",
            hint=f"write {MODULE_LINE} +factorizer=in_memory",
        )
    known = [str(key) for key in OmegaConf.load(vsa.commands.conf_folder() / "capacity.yaml")]
    known = ["backend", *(key for key in known if key != "defaults")]  # a missing value is not "in" the file
    settings: dict[str, Any] = vsa.commands.resolved(composed)
    for key in settings:
        if key not in known:
            raise UnknownNameError(f"setting {key}", name=key, known=known, kind="setting")
    return settings


def _without_file(group: str, name: str) -> dict[str, Any] | None:
    """Settings of a member that comes without a file: its constructor's defaults."""
    tables: dict[str, Any] = {"factorizer": FACTORIZERS, "backend": vsa.backends.BACKENDS}
    if group not in tables or name not in tables[group].names():
        return None
    supplied = ("books", "optional", "seed")
    return {"name": name, **vsa.commands.constructor_defaults(tables[group].get(name), supplied)}


def _experiment(name: str) -> tuple[str, str]:
    """An experiment of factorizers, and the one that it is about."""
    from omegaconf import OmegaConf

    about = {}
    for known, files in vsa.commands.conf_files("experiment").items():
        factorizer = OmegaConf.select(OmegaConf.load(files[0][1]), "factorizer.name")
        if factorizer:
            about[known] = str(factorizer)
    if name not in about:
        raise UnknownNameError(f"argument experiment={name}", name=name, known=about, kind="experiment")
    return name, about[name]


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: by default those of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    return vsa.commands.run_command(
        _run,
        arguments,
        USAGE,
        settings=_checked,
        members=("algebras", "backends", "factorizers"),
        after_interruption="with out=FILE.json the same command goes on where it stopped",
    )


def _checked(overrides: list[str]) -> dict[str, Any]:
    """Settings for ``--cfg``, after trying out the cells that the user describes."""
    settings = compose_settings(overrides)
    checked = check_settings(settings)
    vsa.executors.check(checked["executor"])
    if any(key.partition(".")[0] in _SHAPING for key in vsa.commands.named_keys(overrides) if key != "factorizer"):
        from . import measuring  # loads torch

        measuring.checked_cells(settings)
    return checked


def _run(overrides: list[str]) -> None:
    settings = check_settings(compose_settings(overrides))
    from . import measuring, screen  # load torch

    results = measuring.run(settings)
    with vsa.commands.taking_apart(settings["out"] or "the results"):  # a line there may claim to be of these settings
        screen.show(results)
        if settings["plot"]:
            screen.plot(results, Path(settings["plot"]))
    if settings["out"]:
        vsa.commands.say(f"results in {settings['out']}")


if __name__ == "__main__":
    sys.exit(main())
