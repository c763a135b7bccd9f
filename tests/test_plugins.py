"""The package of docs/plugins.md: written from that page, installed, run. And packages that go wrong."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import datasets
import factorizers
import reasoning
import vsa
from datasets import generate as generate_module
from factorizers import capacity
from reasoning import learners, perception
from reasoning.records import runs
from reasoning.setup import commands
from vsa import backends, plugins
from vsa.errors import DtypeError, SettingsError, UnknownNameError
from vsa.registry import Registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
KINDS = ("algebras", "backends", "factorizers", "perceptions", "learners")
Installs = Callable[..., str]


def python(arguments: list[str], site: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package of the page is installed."""
    source, target = tmp_path_factory.mktemp("vsa-mine"), tmp_path_factory.mktemp("site")
    files = re.findall(r"^`([\w./]+)`\n\n```\w+\n(.*?)```$", PAGE, re.M | re.S)
    assert len(files) == 12
    for name, content in files:
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    options = ["--quiet", "--no-build-isolation", "--no-deps", "--no-index", "--no-compile", "--target", str(target)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options, str(source)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def work(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the commands of the page were run."""
    folder = tmp_path_factory.mktemp("work")
    block = re.search(r"<!-- commands -->\n```bash\n(.*?)```", PAGE, re.S)
    assert block
    lines = block.group(1).strip().splitlines()
    assert [line.split()[2] for line in lines] == [
        "reasoning.train",
        "reasoning.benchmark",
        "reasoning.benchmark",
        "reasoning.explain",
        "factorizers.capacity",
    ]
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "python"
        done = python(arguments, site, folder)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        (folder / f"{arguments[1]}.txt").write_text(done.stdout + done.stderr)
    return folder


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def test_trained_with_a_learner_and_an_algebra_of_another_package(work: Path) -> None:
    record, results = read(work / "runs/mine/run.json"), read(work / "runs/mine/results.json")
    assert record["model"] == "mine"
    assert record["steps"] == 4
    assert record["plugins"].keys() == {"learners", "algebras"}
    learner = record["plugins"]["learners"]["mine"]
    assert (learner["distribution"], learner["version"]) == ("vsa-mine", "0.1")
    assert re.fullmatch("[0-9a-f]{16}", learner["code"])
    answers = results["center_single"]["answers"]
    assert answers["total"] == 20
    assert answers["correct"] > 20 / 8  # two rules know more than chance
    tensors = (work / "runs/mine/weights.safetensors").read_bytes()
    assert b"prior" in tensors
    assert b"sharpness" in tensors


def test_everything_of_another_package_at_once(work: Path) -> None:
    record = read(work / "runs/all_mine/run.json")
    assert record["plugins"].keys() == {"learners", "algebras", "backends", "perceptions"}
    assert record["status"] == "finished"
    marks = read(work / "runs/all_mine/cells/center_single.json")["marks"]
    assert marks.keys() == {"settings", "code", "data", "plugins"}
    assert read(work / "runs/seen/run.json")["plugins"].keys() == {"perceptions"}
    assert "Distribute_Three" in (work / "reasoning.explain.txt").read_text()


def test_capacity_of_another_packages_factorizer(work: Path) -> None:
    (line,) = read(work / "runs/capacity.json")
    assert (line["factorizer"], line["algebra"], line["backend"]) == ("mine", "mine", {"name": "mine", "bits": 8})
    assert line["right"] == line["valid"] == 20
    assert line["plugins"].keys() == {"factorizers", "algebras", "backends"}


def test_results_of_changed_sources_are_not_taken_for_these(work: Path, site: Path) -> None:
    """Same settings, same code of ours: reused. Another learner's code: refused, with the mark that differs."""
    same = PAGE.partition("<!-- commands -->")[2].splitlines()[3].split()[1:]
    again = python(same, site, work)
    assert "1 of 1 results are there already" in again.stdout
    learner = site / "vsa_mine" / "learner.py"
    before = learner.read_text()
    try:
        learner.write_text(before + "\n# changed\n")
        changed = python(same, site, work)
    finally:
        learner.write_text(before)
    assert changed.returncode == 2
    assert "made with other plugins" in changed.stderr


LISTING = """
import sys, vsa, factorizers
from reasoning import learners, perception
from reasoning.setup import commands
from vsa import backends
tables = (vsa.ALGEBRAS, backends.BACKENDS, factorizers.FACTORIZERS, perception.PERCEPTIONS, learners.LEARNERS)
assert all("mine" in table.names() and "mine" in table for table in tables)
assert "mine" in commands.model_names()
assert not any(name.startswith("vsa_mine") for name in sys.modules), "names are listed without importing"
algebra, backend = vsa.get("mine", dim=256), backends.get("mine", bits=24)
vsa.check_algebra(algebra)
vsa.check_backend(backend, algebra)
for module in ("reasoning.benchmark", "factorizers.capacity"):
    main = __import__(module, fromlist=["main"]).main
    for given in (["--help"], [], ["+model=mein"] if "reasoning" in module else ["+factorizer=mein"]):
        assert main(given) == (0 if given == ["--help"] else 2)
"""


def test_names_are_listed_everywhere_before_anything_is_imported(site: Path, tmp_path: Path) -> None:
    done = python(["-W", "error", "-c", LISTING], site, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Other packages offer: algebra mine (vsa-mine 0.1), backend mine (vsa-mine 0.1)" in done.stdout
    said = " ".join(done.stderr.split())
    assert "no model; expected one of: arlc, best, fora, learn_vrf, mine, nvsa, symbolic" in said
    assert "received model 'mein'" in said
    assert "did you mean +model=mine?" in said
    assert re.search("no factorizer; expected one of: [a-z_, ]*join, mine, resonator", said)
    assert "received factorizer 'mein'" in said


# --------------------------------------------------------------------------- packages that go wrong


def test_what_is_no_algebra_is_none(installs: Installs) -> None:
    groups = {f"vsa_reasoning.{kind}": {"number": "odd_parts:NUMBER", "odd": "odd_parts:Odd"} for kind in KINDS}
    installs("odd_parts", groups, "NUMBER = 7\nclass Odd: pass\n")
    bases = (
        "vsa.algebra.Algebra",
        "vsa.backends.base.Backend",
        "factorizers.base.Factorizer",
        "reasoning.perception.base.Perception",
        "reasoning.learners.base.Learner",
    )
    for table, base in zip(tables(), bases, strict=True):
        with pytest.raises(DtypeError, match=rf"received 7 from odd_parts:NUMBER of .*a class derived from {base}$"):
            table.get("number")
        with pytest.raises(DtypeError, match=r"received <class 'odd_parts.Odd'> from .*odd_parts 1\.5"):
            table.get("odd")
    assert "odd" not in vsa.ALGEBRAS._entries


def test_what_a_decorator_enters_is_looked_at_too() -> None:
    vsa.ALGEBRAS.register("integer")(int)
    try:
        with pytest.raises(DtypeError, match=r"'integer': received <class 'int'>; expected a class derived"):
            vsa.get("integer")
    finally:
        del vsa.ALGEBRAS._entries["integer"]


def test_a_hostile_package_breaks_only_what_is_its_own(installs: Installs, tmp_path: Path) -> None:
    groups = {f"vsa_reasoning.{kind}": {"bad": "hostile"} for kind in KINDS}
    groups["vsa_reasoning.conf"] = {"bad": "hostile.conf"}
    groups["vsa_reasoning.learners"]["arlc"] = "hostile"
    installs("hostile", groups, "raise SystemExit(3)\n")
    code = (
        "import vsa, reasoning, datasets, factorizers\n"
        "assert vsa.get('gsbc', dim=64, blocks=4)\n"
        "solver = reasoning.make_solver('symbolic')\n"
        "print(reasoning.evaluate(solver, datasets.generate('iraven', 'center', n=5, seed=0)).answers.percent)\n"
        "for ask in (lambda: vsa.get('bad'), lambda: reasoning.make_solver('arlc', 'model.mode=programmed')):\n"
        "    try: ask()\n"
        "    except vsa.VSAError as error: print(error)\n"
    )
    done = python(["-c", code], tmp_path / "hostile", tmp_path)
    assert done.returncode == 0, done.stderr
    percent, loading, clash = done.stdout.splitlines()
    assert percent == "100.0"
    assert "SystemExit in hostile: 3" in loading
    assert "get model 'arlc': received a name that hostile of the distribution hostile 1.5 gives too" in clash
    assert "hostile 1.5 names the settings folder 'hostile.conf', which is not there" in done.stderr


# --------------------------------------------------------------------------- settings folders


def settings_package(tmp_path: Path, installs: Installs, name: str, files: dict[str, str]) -> str:
    """A package with a settings folder beside its module."""
    installs(name, {"vsa_reasoning.conf": {name: f"{name}_data.conf"}})
    for path, text in files.items():
        place = tmp_path / name / f"{name}_data" / "conf" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
    (tmp_path / name / f"{name}_data" / "__init__.py").write_text("raise RuntimeError('must not be imported')\n")
    return name


def test_a_file_of_ours_is_refused_when_it_is_asked_for(installs: Installs, tmp_path: Path) -> None:
    ours = (ROOT / "conf" / "model" / "arlc.yaml").read_text().replace("rules: 5", "rules: 9")
    settings_package(tmp_path, installs, "bold", {"model/arlc.yaml": ours, "experiment/quick.yaml": QUICK})
    with pytest.raises(SettingsError) as caught:
        commands.compose_settings("train", ["+model=arlc"])
    assert str(caught.value) == (
        "settings file model/arlc.yaml: received a file that is in this package and the distribution bold 1.5; "
        "expected a name of its own for each; rename the file of bold 1.5, or uninstall that package"
    )
    assert commands.compose_settings("benchmark", ["+model=symbolic"])["model"]["name"] == "symbolic"
    assert commands.compose_settings("train", ["+model=nvsa", "experiment=quick"])["epochs"] == 1


QUICK = "# @package _global_\nepochs: 1\n"
ABOUT = "# @package _global_\nfactorizer:\n  name: in_memory\nsize: 9\n"


def test_two_packages_with_one_file(installs: Installs, tmp_path: Path) -> None:
    settings_package(tmp_path, installs, "one", {"experiment/quick.yaml": QUICK})
    files = {"experiment/quick.yaml": QUICK, "dataset/iraven.yaml": "name: raven\n"}
    settings_package(tmp_path, installs, "two", files)
    with pytest.raises(SettingsError, match=r"in the distribution \w+ 1\.5 and the distribution \w+ 1\.5"):
        commands.compose_settings("train", ["+model=nvsa", "experiment=quick", "dataset=raven"])
    order = ["dataset=raven", "n=3", "out=somewhere"]
    assert generate_module.order_of(order)[0].dataset == "raven"
    with pytest.raises(SettingsError, match=r"settings file dataset/iraven.yaml"):
        generate_module.order_of(["out=somewhere"])


def test_an_experiment_of_another_package(installs: Installs, tmp_path: Path) -> None:
    settings_package(tmp_path, installs, "labs", {"experiment/tiny.yaml": ABOUT, "dataset/easy.yaml": "name: raven\n"})
    settings = capacity.compose_settings(["experiment=tiny", "queries=3"])
    assert (settings["factorizer"]["name"], settings["size"], settings["queries"]) == ("in_memory", 9, 3)
    assert generate_module.order_of(["dataset=easy", "n=3", "out=somewhere"])[0].dataset == "raven"
    with pytest.raises(UnknownNameError, match=r"expected one of .*tiny"):
        capacity.compose_settings(["experiment=tinny"])


BARE = """
from dataclasses import dataclass
from typing import ClassVar

from factorizers.exhaustive import Exhaustive
from reasoning.learners.nvsa import NVSA
from reasoning.perception.oracle import Oracle
from vsa.backends.digital import Digital
from vsa.models.gsbc import GSBC

class Model(NVSA): pass

class Seen(Oracle):
    def __init__(self, *, smoothing: float = 0.3, seed: int = 5) -> None:
        super().__init__(smoothing=smoothing, seed=seed)

@dataclass(frozen=True)
class Algebra(GSBC): pass

@dataclass(frozen=True)
class Store(Digital): pass

@dataclass(eq=False)
class Search(Exhaustive): pass
"""


def test_a_member_without_a_settings_file_has_its_constructors_defaults(installs: Installs) -> None:
    members = dict(zip(KINDS, ("Algebra", "Store", "Search", "Seen", "Model"), strict=True))
    groups = {f"vsa_reasoning.{kind}": {"bare": f"bare_parts:{member}"} for kind, member in members.items()}
    installs("bare_parts", groups, BARE)
    assert "bare" in commands.model_names()
    solver = reasoning.make_solver(
        "bare", "perception=bare", "algebra=bare", "backend=bare", "perception.smoothing=0.2", "model.weighting=none"
    )
    assert type(solver.learner).__module__ == type(solver.perception).__module__ == "bare_parts"
    assert solver.perception.smoothing == 0.2
    arrays = datasets.generate("iraven", "center", n=4, seed=0)
    assert reasoning.evaluate(solver, arrays).answers.total == 4
    composed = commands.compose_settings("benchmark", ["+model=bare", "perception=bare"])
    assert composed["perception"] == {"name": "bare", "smoothing": 0.3, "checkpoint": None}  # the seed is the run's
    assert composed["model"]["selection"] == "argmax"
    assert not {"algebra", "backend", "seed"} & composed["model"].keys()
    with pytest.raises(SettingsError, match=r"setting perception.epsilon: received an unknown key"):
        commands.compose_settings("benchmark", ["+model=bare", "perception=bare", "perception.epsilon=1"])
    with pytest.raises(SettingsError, match=r"setting epochs: received .*model\.training\.epochs"):
        commands.compose_settings("train", ["+model=bare"])  # what is recommended, a file says
    settings = capacity.compose_settings(["+factorizer=bare", "backend=bare", "factorizer.elements=4096"])
    assert settings["factorizer"] == {"name": "bare", "early_exit": True, "elements": 4096}
    assert settings["backend"]["name"] == "bare"


def test_a_notebooks_learner_needs_no_file() -> None:
    from reasoning.learners.nvsa import NVSA

    class OfANotebook(NVSA):
        pass

    learners.LEARNERS.register("of_a_notebook")(OfANotebook)
    try:
        assert isinstance(reasoning.make_solver("of_a_notebook").learner, OfANotebook)
        with pytest.raises(UnknownNameError, match="did you mean"):
            reasoning.make_solver("lern_vrf")
    finally:
        del learners.LEARNERS._entries["of_a_notebook"]


def test_the_record_names_a_device_of_another_package(installs: Installs) -> None:
    installs("cells_of_tests", {"vsa_reasoning.devices": {"tape": "cells_of_tests:Tape"}}, "class Tape: pass\n")
    for options in ({"device": "tape"}, {"device": {"name": "tape", "width": 3}}):
        found = plugins.origins({"learners": "arlc", "factorizers": None}, options)
        assert found["devices"]["tape"]["distribution"] == "cells_of_tests"
        assert found.keys() == {"devices"}
    assert plugins.origins({"learners": "arlc"}, {"device": "pcm"}) == {}
    record = runs.environment([], "reasoning.train", found)
    assert runs.same_code(record, found)
    assert not runs.same_code(record, {})
    assert "plugins" not in runs.environment([], "reasoning.train", {})


# --------------------------------------------------------------------------- one file of ours


def tables() -> tuple[Registry, ...]:
    return (
        vsa.ALGEBRAS,
        backends.BACKENDS,
        factorizers.FACTORIZERS,
        perception.PERCEPTIONS,
        learners.LEARNERS,
    )


PLACES = {  # folder of the members -> module and name of its table, of the base class
    "vsa.models": ("vsa.models:ALGEBRAS", "vsa.algebra:Algebra"),
    "vsa.backends": ("vsa.backends:BACKENDS", "vsa.backends.base:Backend"),
    "factorizers": ("factorizers:FACTORIZERS", "factorizers.base:Factorizer"),
    "reasoning.perception": ("reasoning.perception:PERCEPTIONS", "reasoning.perception.base:Perception"),
    "reasoning.learners": ("reasoning.learners:LEARNERS", "reasoning.learners.base:Learner"),
}
MEMBERS = """
from {table} as T
from {base} as Base

@T.register("file_of_tests")
class One(Base): pass

@T.register("second_of_tests")
class Two(Base): pass
"""


@pytest.mark.parametrize("place", PLACES)
def test_one_file_of_ours_is_found_by_itself(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in the folder of the members, and nothing else: got by its name, listed, and its second member, too."""
    table, base = (name.replace(":", " import ") for name in PLACES[place])
    (tmp_path / "file_of_tests.py").write_text(MEMBERS.format(table=table, base=base))
    table, package = dict(zip(PLACES, tables(), strict=True))[place], importlib.import_module(place)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    try:
        assert table.get("file_of_tests").__name__ == "One"
        assert {"file_of_tests", "second_of_tests"} <= set(table.names())
        assert table.get("second_of_tests").__name__ == "Two"
    finally:
        for name in ("file_of_tests", "second_of_tests"):
            table._entries.pop(name, None)
        sys.modules.pop(f"{place}.file_of_tests", None)


def test_modules_that_are_no_members_are_none() -> None:
    others = (("base",), ("base",), ("base", "problem", "capacity"), ("base",), ("base", "nvsa_sets", "registry"))
    for table, names in zip(tables(), others, strict=True):
        for name in names:
            assert name not in table
            with pytest.raises(UnknownNameError):
                table.get(name)
