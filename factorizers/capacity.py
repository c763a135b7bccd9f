"""``python -m factorizers.capacity``: accuracy, iterations and time against the size of the search space."""

from __future__ import annotations

import inspect
import itertools
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import vsa
from vsa import SettingsError, UnknownNameError, VSAError

from . import FACTORIZERS
from .cells import Cell, as_pairs, check, code_version, compute, fingerprint
from .wanted import SWEPT, check_settings

__all__ = ["cells_of", "compose_settings", "main", "run"]

USAGE = """python -m factorizers.capacity +factorizer=NAME [key=value ...]

Measures a factorizer on fresh codebooks and queries: answers that are right in all factors, answers that re-binding
certifies, iterations, time, and brute force beside it. A query is a product of random atoms.

  +factorizer=resonator|in_memory|asymmetric|block_code|group_search|exhaustive|join
  factorizer.OPTION=VALUE            options of that method, in conf/factorizer/NAME.yaml
  experiment=NAME                    a published setting, in conf/experiment; brings its factorizer
  algebra=map                        any registered algebra; the method's customary one unless named
  algebra.OPTION=VALUE               options of that algebra's constructor beside dim and blocks
  dim=256 factors=3 size=[46,100,256] blocks=4 queries=1000 draws=10 seed=7
  noise=0.1 damage=flips|gaussian|blocks|missing
  backend=NAME backend.KEY=VALUE     where codebooks are stored: a file of conf/backend; digital is exact
  backend.device.name=NAME backend.device.OPTION=VALUE   what simulated arrays consist of
  executor=serial|processes|ray|slurm workers=2 threads=1
  out=FILE.json plot=FILE.png overwrite=true

Lists make a cell of every combination. An interrupted command goes on where it stopped. All settings are in
conf/capacity.yaml."""

_USER_ERROR, _INTERRUPTED = 2, 130


def compose_settings(arguments: Sequence[str]) -> dict[str, Any]:
    """Compose conf/capacity.yaml.

    Args:
        arguments: hydra overrides; ``experiment=NAME`` brings its factorizer unless one is named.

    Returns:
        Plain settings.

    Raises:
        SettingsError: hydra refuses them, or no factorizer was named.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException, MissingConfigException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    conf = vsa.commands.conf_folder()
    try:
        parsed = OverridesParser.create().parse_overrides(list(arguments))
        plain, experiments, named = [], [], False
        for override, argument in zip(parsed, arguments, strict=True):
            if override.key_or_group == "factorizer" and not override.is_add():
                value = override.value()
                raise SettingsError(f"argument {argument!r}", received="no plus", expected=f"+factorizer={value}")
            if override.is_sweep_override():
                key, _, value = argument.partition("=")
                raise SettingsError(f"argument {argument!r}", received="a sweep", expected=f"{key}=[{value}]")
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
        ordered = [*brought, *plain, *files]
        composed = vsa.parts.compose_with_parts(
            lambda some: vsa.commands.compose("capacity", some, _without_file),
            ordered,
            OverridesParser.create().parse_overrides(ordered),
        )
        if OmegaConf.is_missing(composed, "factorizer"):
            raise SettingsError(
                "python -m factorizers.capacity",
                received="no factorizer",
                expected=f"one of: {', '.join(vsa.commands.conf_files('factorizer'))}",
                hint="write python -m factorizers.capacity +factorizer=in_memory",
            )
        settings: dict[str, Any] = OmegaConf.to_container(composed, resolve=True)  # type: ignore[assignment]
        known = [str(key) for key in OmegaConf.load(conf / "capacity.yaml")]  # a missing value is not "in" it
        known = ["backend", *(key for key in known if key != "defaults")]
        for key in settings:
            if key not in known:
                raise UnknownNameError(f"setting {key}", name=key, known=known, kind="setting")
        return settings
    except MissingConfigException as error:
        group, _, name = (error.missing_cfg_file or "").partition("/")
        there = dict.fromkeys((*vsa.commands.conf_files(group), *vsa.plugins.offers(f"vsa_reasoning.{group}s")))
        raise UnknownNameError(f"argument +{group}={name}", name=name, known=there, kind=group) from error
    except VSAError:
        raise
    except (HydraException, OmegaConfBaseException, ValueError) as error:  # hydra has plain ones, too
        text = str(error).splitlines()[0]
        raise SettingsError(f"settings {' '.join(arguments)}", received=text, hint="see --help") from error


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


def cells_of(settings: dict[str, Any]) -> list[Cell]:
    """Every combination of the listed settings.

    Args:
        settings: as composed.

    Returns:
        The cells, in the order of the lists.

    Raises:
        SettingsError: a value that makes no sense.
    """
    check_settings(settings)
    chosen = dict(settings["factorizer"])
    name = str(chosen.pop("name", ""))
    if not chosen.get("published", False):
        chosen.pop("published", None)
    options = {key: value if isinstance(value, list) else [value] for key, value in chosen.items()}
    axes = {key: settings[key] if isinstance(settings[key], list) else [settings[key]] for key in SWEPT}
    algebra = settings["algebra_name"] or FACTORIZERS.get(name).customary_algebra
    takes_blocks = "blocks" in inspect.signature(vsa.ALGEBRAS.get(algebra)).parameters
    cells = []
    for combined in itertools.product(*options.values()):
        pairs = _effective(dict(zip(options, combined, strict=True)))
        for dim, factors, size, blocks, noise, seed in itertools.product(*(axes[key] for key in SWEPT)):
            cells.append(
                Cell(
                    factorizer=name,
                    options=tuple(sorted(pairs.items())),
                    algebra=algebra,
                    dim=dim,
                    blocks=blocks if takes_blocks else None,
                    factors=factors,
                    size=size,
                    queries=settings["queries"],
                    draws=min(settings["draws"], settings["queries"]),
                    seed=seed,
                    noise=float(noise),
                    damage=str(settings["damage"]),
                    threads=settings["threads"],
                    backend=as_pairs(settings["backend"]),
                    algebra_options=tuple(sorted(settings["algebra_options"].items())),
                )
            )
    return list(dict.fromkeys(cells))


def _effective(options: dict[str, Any]) -> dict[str, Any]:
    """Of published dynamics only what may be changed counts: the file's other values are those of ours."""
    if not options.pop("published", False):
        return options
    kept = {key: options[key] for key in ("budget", "noise", "threshold") if options.get(key) is not None}
    return {"published": True, **kept}


def run(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Measure all cells, or take them from the file where the same code has measured them.

    Args:
        settings: as composed.

    Returns:
        The results, in the order of the cells.

    Raises:
        VSAError: settings that make no sense, a file that is no list of cells or holds other code's.
    """
    from .screen import alone, progress, read_cells, write_cells

    cells = cells_of(settings)
    for cell in cells:
        check(cell)
    vsa.executors.check(str(settings["executor"]))
    vsa.executors.slurm_parameters(settings["slurm"])
    path = Path(settings["out"]) if settings["out"] else None
    wanted = {fingerprint(cell): cell for cell in cells}
    with alone(path) if path else nullcontext():
        held = read_cells(path) if path else []
        stale = [line for line in held if line.get("settings") in wanted and not _same_code(line, wanted)]
        if stale and not settings["overwrite"]:
            raise SettingsError(
                f"out={path}",
                received=f"{len(stale)} of these cells, made by other code",
                expected="another file",
                hint="or overwrite=true to measure them again",
            )
        done = {line["settings"]: line for line in held if line.get("settings") in wanted and line not in stale}
        missing = [cell for key, cell in wanted.items() if key not in done]
        if path:
            write_cells(path, held)  # a folder that cannot be written to is known before the work
        with progress("measuring", len(missing)) as advance:
            found = vsa.executors.execute(
                str(settings["executor"]), compute, missing, settings["workers"], settings["slurm"]
            )
            for _, result in found:
                done[result["settings"]] = result
                # What other code measured stays until its successor is there.
                held = [line for line in held if line.get("settings") != result["settings"]] + [result]
                if path:
                    write_cells(path, held)
                advance()
    return [done[key] for key in wanted]


def _same_code(line: dict[str, Any], wanted: dict[str, Cell]) -> bool:
    """Whether the code that is there now made a line, other packages' included."""
    return bool(line.get("code") == code_version() and line.get("plugins", {}) == wanted[line["settings"]].plugins())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command.

    Args:
        arguments: by default those of the process.

    Returns:
        0, 2 for a mistake of the user, 130 when interrupted.
    """
    from .screen import complain, plot, say, show

    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    given = [argument for argument in given if argument != "--debug"]
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    if {"-h", "--help"} & set(given):
        say("\n\n".join(filter(None, (USAGE, vsa.plugins.offered_words("algebras", "backends", "factorizers")))))
        return 0
    try:
        settings = compose_settings(given)
        results = run(settings)
        show(results)
        if settings["plot"]:
            plot(results, Path(settings["plot"]))
        if settings["out"]:
            say(f"results in {settings['out']}")
    except (VSAError, OSError) as error:
        if debug:
            raise
        complain(str(error))
        return _USER_ERROR
    except (MemoryError, RuntimeError) as error:
        if debug or not (isinstance(error, MemoryError) or "memory" in str(error)):
            raise
        complain("out of memory; choose smaller sizes, fewer queries or, for processes, fewer workers")
        return _USER_ERROR
    except KeyboardInterrupt:
        complain("interrupted; with out=FILE.json the same command goes on where it stopped")
        return _INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
