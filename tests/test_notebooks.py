"""Every notebook is executed, in order, in a fresh kernel, and prints what it shows."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra: pip install -e '.[notebooks]'")
nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra: pip install -e '.[notebooks]'")

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def printed(notebook) -> list[str]:
    """The text of every output."""
    return [
        output.text if output.output_type == "stream" else output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    ]


def alike(found: str, shown: str, apart: float) -> bool:
    """Equal words; or numbers that differ a little, as another processor may round: two of a hundred answers, say."""
    if found == shown:
        return True
    try:
        return abs(float(found.strip("[](),")) - float(shown.strip("[](),"))) <= apart
    except ValueError:
        return set(found) == set(shown) == {"#"}


def test_there_are_notebooks() -> None:
    assert [path.name for path in NOTEBOOKS][:1] == ["01_algebra.ipynb"]


@pytest.mark.notebook
# The kernel's client talks to a process over sockets that its own garbage collection closes.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_prints_what_it_shows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # a kernel of several threads crawls on a machine that others use, too
    kept = nbformat.read(path, as_version=4)
    again = copy.deepcopy(kept)
    nbclient.NotebookClient(again, timeout=100, kernel_name="python3").execute()
    assert all(cell.outputs for cell in kept.cells if cell.cell_type == "code"), "outputs are kept in the file"
    found, shown = ("\n".join(printed(notebook)).split() for notebook in (again, kept))
    assert len(found) == len(shown)
    percent = [word == "%" for word in (*shown[1:], "")]
    pairs = zip(found, shown, percent, strict=True)
    wrong = [pair for *pair, of_hundred in pairs if not alike(*pair, 2.0 if of_hundred else 0.015)]
    assert not wrong, "execute the notebook again and keep its outputs"
