"""The name ``datasets`` belongs to another package too: both stay whole, and ours is found wherever we are."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import vsa
from reasoning import _rooms
from vsa.errors import VSAError

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("vsa", "datasets", "reasoning", "conf")


# ------------------------------------------------------------------------------------------------------- in a process


def test_reasoning_gets_ours_whatever_lies_first_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "__init__.py").write_text("THEIRS = True\n")
    code = f"""
    import sys
    sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]
    from reasoning import datasets
    import datasets.arrays
    print(datasets.__file__, datasets.arrays.__file__, sys.path[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(ROOT / "datasets/__init__.py"), str(ROOT / "datasets/arrays.py"), str(ROOT)]


def test_a_wrong_one_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("datasets")
    other.__file__ = "/elsewhere/datasets/__init__.py"
    monkeypatch.setitem(sys.modules, "datasets", other)
    with pytest.raises(VSAError, match=r"from /elsewhere/.*, imported before; .* import reasoning first"):
        _rooms.claim_datasets()


def test_ours_is_kept() -> None:
    import datasets

    assert _rooms.claim_datasets() is datasets
    assert vsa.commands.conf_folder() == ROOT / "conf"


# ----------------------------------------------------------------------------------------------------------- installed


def stand_in(folder: Path) -> Path:
    """A wheel with a top-level package ``datasets``, as Hugging Face's has."""
    files = {
        "datasets/__init__.py": "THEIRS = True\n",
        "datasets/arrays.py": "THEIRS = True\n",
        "datasets/loaders/__init__.py": "",
        "stand_in-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: stand-in\nVersion: 1.0\n",
        "stand_in-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "stand_in-1.0.dist-info/RECORD"
    lines = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        lines.append(f"{name},sha256={digest},{len(text)}")
    files[record] = "\n".join([*lines, f"{record},,\n"])
    path = folder / "stand_in-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


class Environment:
    """A virtual environment that sees the dependencies of this one, not its packages of ours."""

    def __init__(self, folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=100)
        self.python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        site = self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder)
        self.site = Path(site.strip())
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(self, *arguments: str, cwd: Path, fails: bool = False) -> str:
        command = [str(self.python), *arguments]
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=400)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stderr if fails else done.stdout

    def pip(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "--disable-pip-version-check"]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=400)
        assert done.returncode == 0, done.stdout + done.stderr

    def theirs(self) -> dict[str, str]:
        found = sorted(p for p in self.site.joinpath("datasets").rglob("*") if p.suffix == ".py")
        return {p.relative_to(self.site).as_posix(): p.read_text() for p in found}


WORKERS = """
import os, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from reasoning import datasets

if __name__ == "__main__":
    os.chdir(sys.argv[1])
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        jobs = [pool.submit(datasets.Puzzle.from_arrays, datasets.generate("iraven", n=1), 0) for _ in range(2)]
        puzzles = [job.result() for job in jobs]
    import datasets as named
    from datasets.puzzle import Puzzle
    assert all(isinstance(puzzle, Puzzle) for puzzle in puzzles)
    assert named.generate is not None and not hasattr(named, "THEIRS")
    print(puzzles[0].constellation)
"""
TRAIN = (
    *("-m", "reasoning.train", "+model=arlc", "epochs=1", "dataset.n=20", "dataset.test_n=10"),
    *("test_constellation=2x2", "out=run", "overwrite=true"),
)


NOTEBOOK = (
    """
from reasoning import datasets
arrays = datasets.generate("iraven", "2x2", n=2)
datasets.Puzzle.from_arrays(arrays, 0)
""",
    """
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

os.chdir(os.sep)  # workers start here; nothing of the notebook is imported again in them
with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
    puzzles = list(pool.map(datasets.Puzzle.from_arrays, [arrays, arrays], [0, 1]))
    where = pool.submit(os.getcwd).result()
print(where == os.sep, [puzzle.constellation for puzzle in puzzles])
""",
    """
import datasets as named
from datasets.puzzle import Puzzle
print(named.generate is not None, hasattr(named, "THEIRS"), all(isinstance(puzzle, Puzzle) for puzzle in puzzles))
""",
)


def executed(environment: Environment, elsewhere: Path, cells: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A notebook in a folder, its kernel a process of the environment."""
    nbformat = pytest.importorskip("nbformat", reason="notebooks need the extra: pip install -e '.[notebooks]'")
    nbclient = pytest.importorskip("nbclient", reason="notebooks need the extra: pip install -e '.[notebooks]'")
    kernel = elsewhere / "share" / "kernels" / "beside"
    kernel.mkdir(parents=True, exist_ok=True)
    launch = [str(environment.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(json.dumps({"argv": launch, "display_name": "beside", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(elsewhere / "share"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, elsewhere / "page.ipynb")
    page = nbformat.read(elsewhere / "page.ipynb", as_version=4)
    at = {"metadata": {"path": str(elsewhere)}}
    nbclient.NotebookClient(page, timeout=100, kernel_name="beside", resources=at, allow_errors=True).execute()
    return [cell.outputs for cell in page.cells]


def use_ours_in_a_notebook(environment: Environment, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, workers, named = executed(environment, elsewhere, NOTEBOOK, monkeypatch)
    assert "<svg" in shown[0]["data"]["text/html"] or "<img" in shown[0]["data"]["text/html"], shown
    assert workers[0].get("text") == "True ['distribute_four', 'distribute_four']\n", workers
    assert named[0].get("text") == "True False True\n", named
    theirs, wrong = executed(
        environment, elsewhere, ("import datasets\ndatasets.THEIRS", "import reasoning"), monkeypatch
    )
    assert theirs[0]["data"]["text/plain"] == "True"
    assert "import reasoning first" in wrong[0]["evalue"]


def use_ours(environment: Environment, elsewhere: Path) -> None:
    """All ways in, from a folder that is not the checkout."""
    elsewhere.mkdir()
    environment.run(*TRAIN, cwd=elsewhere)
    assert (elsewhere / "run" / "results.json").is_file()
    (elsewhere / "workers.py").write_text(WORKERS)
    assert environment.run("workers.py", "/", cwd=elsewhere).strip() == "center_single"
    wrong = "import datasets; assert datasets.THEIRS; import reasoning"
    assert "import reasoning first" in environment.run("-c", wrong, cwd=elsewhere, fails=True)


def copy_of_the_source(folder: Path) -> Path:
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "build")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=ignore)
    (folder / "benchmarks").mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "benchmarks/reference.yaml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # the kernel's client: its sockets
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_wheel_beside_the_other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(tmp_path / "venv")
    environment.pip("install", "--no-deps", "--no-index", str(stand_in(tmp_path)))
    before = environment.theirs()
    assert len(before) == 3
    source = copy_of_the_source(tmp_path / "source")
    environment.pip("wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(source))
    (wheel,) = tmp_path.glob("vsa_reasoning-*.whl")
    environment.pip("install", "--no-deps", "--no-index", str(wheel))
    assert environment.theirs() == before
    assert "True" in environment.run("-c", "import datasets; print(datasets.THEIRS)", cwd=tmp_path)
    use_ours(environment, tmp_path / "elsewhere")
    use_ours_in_a_notebook(environment, tmp_path / "elsewhere", monkeypatch)
    made = ("-m", "vsa_reasoning_datasets.generate", "constellation=center", "n=3", "images=false", "out=made")
    environment.run(*made, "workers=2", cwd=tmp_path / "elsewhere")
    assert len(list(tmp_path.glob("elsewhere/made/center_single/*.xml"))) == 3
    same = """
    import reasoning, vsa_reasoning_datasets.arrays, datasets.arrays, datasets.rules.base
    assert datasets.arrays is vsa_reasoning_datasets.arrays
    assert datasets.arrays.__spec__.name == "vsa_reasoning_datasets.arrays"
    print(datasets.generate("raven", n=1).constellation)
    """
    assert "center_single" in environment.run("-c", textwrap.dedent(same), cwd=tmp_path)
    environment.pip("uninstall", "-y", "vsa-reasoning")
    assert environment.theirs() == before
    assert not list(environment.site.glob("vsa_reasoning*"))


@pytest.mark.slow
@pytest.mark.notebook
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")  # the kernel's client: its sockets
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_editable_install_beside_the_other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(tmp_path / "venv")
    environment.pip("install", "--no-deps", "--no-index", str(stand_in(tmp_path)))
    before = environment.theirs()
    source = copy_of_the_source(tmp_path / "source")
    environment.pip("install", "--quiet", "--no-deps", "-e", str(source))
    assert environment.theirs() == before
    use_ours(environment, tmp_path / "elsewhere")
    use_ours_in_a_notebook(environment, tmp_path / "elsewhere", monkeypatch)
    environment.pip("uninstall", "-y", "vsa-reasoning")
    assert environment.theirs() == before
