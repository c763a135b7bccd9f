"""What ``python -m factorizers.capacity`` measures: every combination of the listed settings, once."""

from __future__ import annotations

import inspect
import itertools
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import vsa
from vsa import SettingsError

from . import FACTORIZERS
from .cells import Cell, as_pairs, check, code_version, compute, fingerprint
from .screen import read_cells, write_cells
from .wanted import SWEPT, check_settings

__all__ = ["cells_of", "checked_cells", "run"]


def cells_of(settings: dict[str, Any]) -> list[Cell]:
    """Every combination of the listed settings.

    Args:
        settings: as composed.

    Returns:
        The cells, in the order of the lists.

    Raises:
        SettingsError: a value that makes no sense.
    """
    settings = check_settings(settings)
    chosen = dict(settings["factorizer"])
    name = str(chosen.pop("name", ""))
    options = {key: value if isinstance(value, list) else [value] for key, value in chosen.items()}
    axes = {key: settings[key] if isinstance(settings[key], list) else [settings[key]] for key in SWEPT}
    algebra = settings["algebra_name"] or FACTORIZERS.get(name).customary_algebra
    takes_blocks = "blocks" in inspect.signature(vsa.ALGEBRAS.get(algebra)).parameters
    backend = dict(settings["backend"])
    label = f"backend {backend.get('name')}"
    vsa.commands.schema.checked(vsa.backends.BACKENDS.get(backend.pop("name")), "backend", backend, (), label)
    vsa.commands.schema.checked(
        vsa.ALGEBRAS.get(algebra), "algebra", settings["algebra_options"], (), f"algebra {algebra}"
    )
    cells = []
    for combined in itertools.product(*options.values()):
        pairs = _effective(dict(zip(options, combined, strict=True)))
        if not pairs.get("published"):
            vsa.commands.schema.checked(FACTORIZERS.get(name), "factorizer", pairs, ("books",), f"factorizer {name}")
        for dim, factors, size, blocks, noise, seed in itertools.product(*(axes[key] for key in SWEPT)):
            cells.append(
                Cell(
                    factorizer=name,
                    options=as_pairs(pairs),
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
                    algebra_options=as_pairs(settings["algebra_options"]),
                )
            )
    return list(dict.fromkeys(cells))


def checked_cells(settings: dict[str, Any]) -> list[Cell]:
    """The cells, each of which can be made.

    Args:
        settings: as composed.

    Returns:
        As :func:`cells_of`.

    Raises:
        VSAError: settings that make no sense, an executor that is not there.
    """
    cells = cells_of(settings)
    for cell in cells:
        check(cell)
    vsa.executors.check(str(settings["executor"]))
    vsa.executors.slurm_parameters(settings["slurm"])
    return cells


def _effective(options: dict[str, Any]) -> dict[str, Any]:
    """Of published dynamics only what may be changed counts: the file's other values are those of ours."""
    if not vsa.commands.schema.coerce(bool, options.pop("published", False), "factorizer.published"):
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
    settings = check_settings(settings)
    cells = checked_cells(settings)
    path = Path(settings["out"]) if settings["out"] else None
    wanted = {fingerprint(cell): cell for cell in cells}
    if path:
        _make_folder(path)
    with vsa.commands.alone(path) if path else nullcontext():
        if path:
            vsa.commands.sweep(path)
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
        with vsa.commands.progress("measuring", len(missing)) as bar:
            found = vsa.executors.execute(
                str(settings["executor"]), compute, missing, settings["workers"], settings["slurm"]
            )
            for _, result in found:
                done[result["settings"]] = result
                # What other code measured stays until its successor is there.
                held = [line for line in held if line.get("settings") != result["settings"]] + [result]
                if path:
                    write_cells(path, held)
                bar(1)
    return [done[key] for key in wanted]


def _make_folder(path: Path) -> None:
    if path.is_dir():
        raise SettingsError(f"out={path}", received="a folder", expected="a file's name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        refusal = f"the system's refusal: {error.strerror or error}"
        raise SettingsError(f"out={path}", received=refusal, expected="a file in a folder") from error


def _same_code(line: dict[str, Any], wanted: dict[str, Cell]) -> bool:
    """Whether the code that is there now made a line, other packages' included."""
    return bool(line.get("code") == code_version() and line.get("plugins", {}) == wanted[line["settings"]].plugins())
