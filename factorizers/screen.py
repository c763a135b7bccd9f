"""What the command line of factorizers shows and writes: the table, the plot, the JSON file."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import vsa
from vsa import CorruptFileError, VSAError

__all__ = ["alone", "peers", "plot", "read_cells", "show", "write_cells"]

_WIDTH = 150


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Refuse a second run on a file: each would write its own cells over the other's.

    The lock is the system's, on a file beside. It goes with the process, however that ends.

    Args:
        path: the JSON file.

    Raises:
        VSAError: another run holds it, or the folder cannot be written to.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    beside = path.with_name(f".{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = beside.open("w")
    except OSError as error:
        raise _unwritable(path, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not (beside.exists() and os.path.samestat(os.fstat(file.fileno()), beside.stat())):
                raise BlockingIOError  # its holder was just removing it
        except BlockingIOError as error:
            raise VSAError(
                f"out={path}",
                received="a file that another run is writing to",
                expected="a file of its own",
                hint="wait for that run, or choose another file",
            ) from error
        try:
            yield
        finally:
            with suppress(OSError):
                beside.unlink()


def read_cells(path: Path) -> list[dict[str, Any]]:
    """The cells of a file; none where there is no file.

    Args:
        path: the JSON file.

    Raises:
        CorruptFileError: the file is no list of cells.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise CorruptFileError(f"out={path}", received="a folder or a binary file", expected="a JSON file") from error
    try:
        cells = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise CorruptFileError(
            f"out={path}", received=f"no JSON ({error})"[:120], expected="a list of cells", hint="choose another file"
        ) from error
    if not isinstance(cells, list) or not all(isinstance(cell, dict) and "factorizer" in cell for cell in cells):
        raise CorruptFileError(
            f"out={path}", received="other JSON", expected="a list of cells", hint="choose another file"
        )
    return cells


def write_cells(path: Path, cells: list[dict[str, Any]]) -> None:
    """Replace the file at once: whatever happens, the old or the new one is there, whole.

    Args:
        path: the JSON file.
        cells: its content.

    Raises:
        VSAError: the disk is full, or the folder cannot be written to.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", suffix=".tmp", delete=False, encoding="utf-8"
        ) as file:
            temporary = file.name
            file.write(json.dumps(cells, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> VSAError:
    return VSAError(
        f"write {path}",
        received=error.strerror or str(error),
        expected="space and permission",
        hint="what was there is untouched; the same command goes on from it",
    )


def show(results: list[dict[str, Any]]) -> None:
    """The table: every method beside brute force, and peers where their setting is the same.

    Args:
        results: of the cells.
    """
    from rich.table import Table

    known = peers()
    heads = ["factorizer", "D", "K", "F", "N", "noise", "right %", "95 %", "valid %", "ceiling %", "iterations",
             "ms/query", "brute force ms", "share of its work"]  # fmt: skip
    table = Table(*heads)
    notes = []
    for cell in results:
        low, high = cell["right_interval"]
        share = 100 * cell["right"] / cell["queries"]
        name = cell["factorizer"] + (" (published)" if cell["options"].get("published") else "")
        table.add_row(
            name, str(cell["dim"]), str(cell["blocks"] or ""), str(cell["factors"]), str(cell["size"]),
            f"{cell['noise']:g} {cell['damage']}" if cell["noise"] else "", f"{share:.2f}",
            f"{100 * low:.1f}-{100 * high:.1f}", f"{100 * cell['valid'] / cell['queries']:.2f}",
            "" if cell["ceiling"] is None else f"{100 * cell['ceiling']:.2f}", f"{cell['iterations_mean']:.1f}",
            f"{cell['ms_per_query']:.3g}", _time_of_brute_force(cell),
            f"{cell['exhaustive_share']:.2g}{' (a sweep)' if cell['sweep'] else ''}",
        )  # fmt: skip
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise VSAError(
            f"plot={path}",
            received=error.strerror or str(error),
            expected="space and permission",
            hint="with out=FILE.json the same command only draws",
        ) from error
    finally:
        plt.close(figure)
