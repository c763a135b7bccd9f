"""The package as it is installed: its names, its versions, what importing it loads."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("vsa", "factorizers", "datasets", "reasoning", "conf")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def only_match(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, f"nothing matches {pattern}"
    return found.group(1)


def python(code: str, cwd: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def declared_requirements() -> list[Requirement]:
    """The strings of ``dependencies`` and of every extra (tomllib is not there on Python 3.10)."""
    text = re.sub(r"(?m)^\s*#.*$", "", read("pyproject.toml"))
    runtime = only_match(r"(?s)^dependencies = \[(.*?)^\]", text)
    extras = only_match(r"(?s)^\[project\.optional-dependencies\](.*?)^\[", text)
    return [Requirement(item) for item in re.findall(r'"([^"]+)"', runtime + extras)]


def pins() -> dict[str, Requirement]:
    lines = [Requirement(line) for line in read("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {r.name.lower().replace("_", "-"): r for r in lines if r.marker is None or r.marker.evaluate()}


def test_datasets_is_ours() -> None:
    import datasets

    assert datasets.__file__ is not None
    assert Path(datasets.__file__).resolve() == ROOT / "datasets" / "__init__.py", (
        f"`import datasets` finds {datasets.__file__}: another package of that name (Hugging Face's) is installed. "
        "Use a virtual environment of its own, as README.md shows"
    )


@pytest.mark.parametrize("room", ROOMS)
def test_a_program_started_here_gets_our_packages(room: str) -> None:
    assert Path(python(f"import {room}; print({room}.__file__)")).resolve() == ROOT / room / "__init__.py"


def test_importing_vsa_loads_the_standard_library_only() -> None:
    loaded = python("import sys; old = set(sys.modules); import vsa; print(*sorted(set(sys.modules) - old))").split()
    foreign = {name.split(".")[0] for name in loaded} - set(sys.stdlib_module_names) - {"vsa"}
    assert not foreign, f"`import vsa` loads {sorted(foreign)}"


def test_importing_datasets_loads_no_torch() -> None:
    assert python("import sys, datasets, datasets.arrays; print('torch' in sys.modules)") == "False"


def test_one_version_everywhere() -> None:
    version = only_match(r'^version = "([^"]+)"', read("pyproject.toml"))
    assert only_match(r"^## \[(\d[^\]]*)\]", read("CHANGELOG.md")) == version, "the newest entry of CHANGELOG.md"
    assert only_match(r"^version: (\S+)", read("CITATION.cff")) == version
    try:
        installed = metadata.version("vsa-reasoning")
    except metadata.PackageNotFoundError:
        pytest.skip("vsa-reasoning is not installed here: its version cannot be compared")
    assert installed == version, "install again: pip install -c constraints.txt -e '.[test]'"


def test_one_licence_everywhere() -> None:
    assert only_match(r'^license = "([^"]+)"', read("pyproject.toml")) == "Apache-2.0"
    assert only_match(r"^license: (\S+)", read("CITATION.cff")) == "Apache-2.0"
    assert "Apache License" in read("LICENSE").splitlines()[1]


def test_the_tested_set_pins_every_requirement_once() -> None:
    tested = pins()
    for requirement in declared_requirements():
        pin = tested.get(requirement.name.lower())
        assert pin is not None, f"constraints.txt lacks {requirement.name}"
        (version,) = pin.specifier
        assert version.operator == "=="
        assert requirement.specifier.contains(version.version), f"{pin} does not fulfil {requirement}"
    assert str(tested["torch"]) == "torch==2.13.0"


@pytest.mark.parametrize("python_version", ["3.10", "3.11", "3.13"])
def test_no_package_has_two_pins_on_one_python(python_version: str) -> None:
    environment = {**default_environment(), "python_version": python_version}
    names = [
        requirement.name
        for line in read("constraints.txt").splitlines()
        if line and not line.startswith("#")
        for requirement in [Requirement(line)]
        if requirement.marker is None or requirement.marker.evaluate(environment)  # type: ignore[arg-type]
    ]
    assert len(names) == len(set(names))


@pytest.mark.slow
def test_the_wheel_holds_every_module_and_config(tmp_path: Path) -> None:
    source = tmp_path / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=ignore)
    (source / "benchmarks").mkdir()
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "benchmarks/reference.yaml"):
        shutil.copy(ROOT / name, source / name)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(tmp_path), str(source)],
        check=True,
        timeout=300,
    )
    (wheel,) = tmp_path.glob("vsa_reasoning-*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    unique = {"datasets": "vsa_reasoning_datasets", "conf": "vsa_reasoning_conf"}
    assert not {name.split("/")[0] for name in held} & set(unique), "these names belong to others too"
    wanted = {
        "/".join([unique.get(room, room), *path.relative_to(ROOT / room).parts])
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in (".py", ".yaml", ".typed") or path.name.endswith(".safetensors")
    }
    assert wanted, "nothing to look for"
    wanted.add("vsa_reasoning_conf/reference.yaml")
    assert not wanted - held, f"the wheel lacks {sorted(wanted - held)}"
