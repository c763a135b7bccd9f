"""Registries and the entry points of other packages: names, clashes, and packages that cannot be imported."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

import vsa
from vsa.errors import UnknownNameError, VSAError
from vsa.registry import Registry

Installs = Callable[..., str]
GROUP = "vsa_reasoning.trees"


def trees(**options: object) -> Registry[type]:
    table: Registry[type] = Registry("tree", entry_points=GROUP, **options)  # type: ignore[arg-type]
    table.register("oak", "eiche")(int)
    return table


@pytest.fixture
def shared() -> Iterator[ModuleType]:
    """A module by which a package under test finds the table of the test."""
    module = sys.modules["tables_of_tests"] = ModuleType("tables_of_tests")
    yield module
    del sys.modules["tables_of_tests"]


def sentence(table: Registry[type], name: str) -> str:
    with pytest.raises(VSAError) as caught:
        table.get(name)
    assert name == "oak" or table.get("oak") is int, "other names go on working"
    return str(caught.value)


def test_a_name_that_two_packages_give(installs: Installs) -> None:
    for name in ("first_wood", "second_wood"):
        installs(name, {GROUP: {"fir": f"{name}:Fir"}}, "class Fir: pass\n")
    table = trees()
    assert table.names() == ("oak", "fir")
    said = sentence(table, "fir")
    assert said.startswith("get tree 'fir': received a name that several distributions give")
    assert "first_wood:Fir of first_wood 1.5" in said
    assert "second_wood:Fir of second_wood 1.5" in said
    assert "first_wood" not in sys.modules


@pytest.mark.parametrize("name", ["oak", "eiche"])
def test_a_name_or_an_alias_of_ours_is_not_shadowed(installs: Installs, name: str) -> None:
    installs("bold_wood", {GROUP: {name: "bold_wood:Fir", "yew": "bold_wood:Fir"}}, "class Fir: pass\n")
    table = trees()
    said = sentence(table, name)
    assert "received a name that bold_wood:Fir of the distribution bold_wood 1.5 gives too" in said
    assert "uninstall bold_wood" in said
    assert table.get("yew").__name__ == "Fir", "its other names are its own"


def test_a_member_of_our_tables_and_folders_is_not_shadowed(installs: Installs) -> None:
    taken = {"wave": "bold_wood", "waves": "bold_wood"}
    installs("bold_wood", {GROUP: taken, "vsa_reasoning.algebras": {"bipolar": "bold_wood"}})
    for name in taken:
        assert "is ours" in sentence(trees(modules={"wave": "wave"}, aliases={"waves": "wave"}), name)
    with pytest.raises(VSAError, match=r"received a name that bold_wood of the distribution bold_wood 1\.5 gives too"):
        vsa.get("bipolar", dim=64)  # an alias in a module that need not have been imported
    assert vsa.get("gsbc", dim=64, blocks=4).dim == 64


@pytest.mark.parametrize(
    ("source", "value", "words"),
    [
        ("import nothing_of_that_name", "sick_wood:Fir", "ModuleNotFoundError in sick_wood:Fir: No module named"),
        ("raise RuntimeError('no licence')", "sick_wood", "RuntimeError in sick_wood: no licence"),
        ("raise SystemExit('bye')", "sick_wood", "SystemExit in sick_wood: bye"),
        ("", "sick_wood:Fir", "AttributeError in sick_wood:Fir"),
        ("", "no.such.module:Fir", "ModuleNotFoundError in no.such.module:Fir"),
        ("", "not a value", "received"),
    ],
)
def test_a_package_that_cannot_be_imported(installs: Installs, source: str, value: str, words: str) -> None:
    installs("sick_wood", {GROUP: {"fir": value}}, source)
    table = trees()
    assert "fir" in table.names()
    for _ in range(2):  # asked again, it says the same
        said = sentence(table, "fir")
        assert said.startswith("load 'fir' of the distribution sick_wood 1.5: received")
        assert words in said
        assert "repair or uninstall sick_wood" in said
    with pytest.raises(VSAError) as caught:
        table.get("fir")
    assert caught.value.__cause__ is not None, "the original error stays to be seen"


def test_a_module_may_register_or_be_named_with_the_class(installs: Installs, shared: ModuleType) -> None:
    registers = "import tables_of_tests as t\n@t.TABLE.register('fir', 'tanne')\nclass Fir: pass\n"
    table = shared.TABLE = trees()  # type: ignore[attr-defined]
    entries = {"fir": "good_wood", "yew": "good_wood:Fir", "elm": "good_wood"}
    installs("good_wood", {GROUP: entries}, registers)
    fir = table.get("fir")
    assert fir.__name__ == "Fir"
    assert table.get("tanne") is table.get("yew") is fir
    assert "a module that registers no 'elm'" in sentence(table, "elm")
    # The user may have imported the module before: that is no clash.
    other = shared.TABLE = trees()  # type: ignore[attr-defined]
    importlib.reload(sys.modules["good_wood"])
    assert other.get("fir").__name__ == "Fir"
    # But what a notebook has registered under an installed name is another thing.
    mixed = trees()
    mixed.register("fir")(float)
    assert "gives too; expected a name of its own, since 'fir' is <class 'float'>" in sentence(mixed, "fir")


def test_an_entry_point_and_its_module_name_two_things(installs: Installs, shared: ModuleType) -> None:
    table = shared.TABLE = trees()  # type: ignore[attr-defined]
    source = "import tables_of_tests as t\n@t.TABLE.register('fir')\nclass A: pass\nclass B: pass\n"
    installs("torn_wood", {GROUP: {"fir": "torn_wood:B"}}, source)
    assert "whose module registers <class 'torn_wood.A'> under this name" in sentence(table, "fir")


def test_damaged_metadata_take_nothing_along(installs: Installs, caplog: pytest.LogCaptureFixture) -> None:
    installs("sick_wood", {}, metadata="[vsa_reasoning.trees]\nno equals sign\n")
    table = trees()
    with pytest.raises(UnknownNameError):
        table.get("fir")
    assert table.get("oak") is int
    assert "entry points of the installed packages cannot be read" in caplog.text
