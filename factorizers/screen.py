"""What the command line of factorizers shows and writes: the table, the plot, the JSON file."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import vsa
from vsa import CorruptFileError, VSAError

__all__ = ["peers", "plot", "read_cells", "show", "write_cells"]

_WIDTH = 150


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a file; none where there is no file.

    Args:
        path: the JSON file.

    Returns:
        The cells, each with its checksum right.

    Raises:
        CorruptFileError: the file is no list of cells, or was changed.
    """
    if not path.exists():
        return []
    cells = vsa.commands.files.read_json(path)
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and "factorizer" in cell for cell in cells):
        raise CorruptFileError(
            f"out={path}", received="other JSON", expected="a list of cells", hint="choose another file"
        )
    return [vsa.commands.files.unsealed(cell, f"{path}, cell {number}") for number, cell in enumerate(cells)]


def write_cells(path: Path, cells: list[dict[str, Any]]) -> None:
    """Replace the file at once: whatever happens, the old or the new one is there, whole.

    Args:
        path: the JSON file.
        cells: its content.

    Raises:
        WriteError: the disk is full, or the folder cannot be written to.
    """
    text = json.dumps([vsa.commands.files.sealed(cell) for cell in cells], indent=1) + "\n"
    vsa.commands.write_whole(path, text.encode(), "what was there is untouched; the same command goes on from it")


def show(results: list[dict[str, Any]]) -> None:
    """The table: every method beside brute force, and peers where their setting is the same.

    Args:
        results: of the cells.
    """
    known = peers()
    heads = ["D", "K", "F", "N", "noise", "right %", "95 %", "valid %", "ceiling %", "iterations",
             "ms/query", "brute force ms", "share of its work"]  # fmt: skip
    table = vsa.commands.Grid("", heads)
    notes = []
    for cell in results:
        low, high = cell["right_interval"]
        share = 100 * cell["right"] / cell["queries"]
        name = cell["factorizer"] + (" (published)" if cell["options"].get("published") else "")
        cells = (
            str(cell["dim"]), str(cell["blocks"] or ""), str(cell["factors"]), str(cell["size"]),
            f"{cell['noise']:g} {cell['damage']}" if cell["noise"] else "", f"{share:.2f}",
            f"{100 * low:.1f}-{100 * high:.1f}", f"{100 * cell['valid'] / cell['queries']:.2f}",
            "" if cell["ceiling"] is None else f"{100 * cell['ceiling']:.2f}", f"{cell['iterations_mean']:.1f}",
            f"{cell['ms_per_query']:.3g}", _time_of_brute_force(cell),
            f"{cell['exhaustive_share']:.2g}{' (a sweep)' if cell['sweep'] else ''}",
        )  # fmt: skip
        table.add(name, cells)
        for peer in known:
            if all(cell.get(key) == value for key, value in peer["setting"].items()):
                where = f"D {cell['dim']} F {cell['factors']} N {cell['size']}"
                notes.append(f"{where}: {peer['figure']} ({peer['source']})")
    vsa.commands.show(table, width=_WIDTH)
    for note in dict.fromkeys(notes):
        vsa.commands.say(note)


def _time_of_brute_force(cell: dict[str, Any]) -> str:
    """Marked where a part was timed and the time scaled up."""
    return f"{'~' if cell.get('exhaustive_scaled', 1) != 1 else ''}{cell['exhaustive_ms_per_query']:.3g}"


def peers() -> list[dict[str, Any]]:
    """Figures of others; none where the file is missing."""
    import yaml

    path = vsa.commands.reference_file()
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8")).get("factorizers", [])
    return found


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Accuracy and iterations against the search space, or against noise where that varies.

    Args:
        results: of the cells.
        path: the PNG file.

    Raises:
        VSAError: matplotlib is missing.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise VSAError(
            f"plot={path}", received="no matplotlib", expected="it installed", hint="pip install 'vsa-reasoning[plots]'"
        ) from error
    swept = {cell["options"].get("noise") for cell in results}
    by_option = len(swept) > 1
    by_damage = len({cell["noise"] for cell in results}) > 1
    label = "noise of the method" if by_option else "damage" if by_damage else "size of the search space"
    lines: dict[str, list[tuple[float, float, float, float, float]]] = {}
    for cell in results:
        name = cell["factorizer"] + (" (published)" if cell["options"].get("published") else "")
        if by_option:
            x = float(cell["options"].get("noise") or 0)
        elif by_damage:
            x = cell["noise"]
        else:
            x = float(cell["size"]) ** cell["factors"]
        low, high = cell["right_interval"]
        share = cell["right"] / cell["queries"]
        key = f"{name}, D {cell['dim']}" + (f", K {cell['blocks']}" if cell["blocks"] else "")
        lines.setdefault(key, []).append((x, share, low, high, cell["iterations_mean"]))
    figure, (above, below) = plt.subplots(2, 1, figsize=(6.5, 6), sharex=True)
    for name, unsorted in lines.items():
        points = sorted(unsorted)
        xs = [point[0] for point in points]
        above.plot(xs, [point[1] for point in points], marker="o", label=name)
        above.fill_between(xs, [point[2] for point in points], [point[3] for point in points], alpha=0.2)
        below.plot(xs, [point[4] for point in points], marker="o")
    above.set_ylabel("queries with all factors right")
    above.set_ylim(-0.03, 1.03)
    above.legend(fontsize="small")
    below.set_ylabel("iterations, mean")
    below.set_xlabel(label)
    below.set_yscale("log")
    if not (by_option or by_damage):
        below.set_xscale("log")
    figure.tight_layout()
    content = io.BytesIO()
    try:
        figure.savefig(content, format=path.suffix[1:] or "png", dpi=120)
        path.parent.mkdir(parents=True, exist_ok=True)
        vsa.commands.write_whole(path, content.getvalue(), "with out=FILE.json the same command only draws")
    except vsa.commands.WriteError:
        raise
    except OSError as error:
        raise VSAError(
            f"plot={path}",
            received=error.strerror or str(error),
            expected="space and permission",
            hint="with out=FILE.json the same command only draws",
        ) from error
    finally:
        plt.close(figure)
