"""Registries: names, aliases, lazy modules, and what happens to names that do not exist."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vsa.errors import DtypeError, UnknownNameError, VSAError
from vsa.registry import Registry


@pytest.fixture
def fruit() -> Registry[type]:
    registry: Registry[type] = Registry("fruit")
    registry.register("apple", "pomme")(int)
    registry.register("pear")(str)
    return registry


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose modules register themselves; one has an alias, one must not be imported."""
    folder = tmp_path / "orchard_of_tests"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from vsa.registry import Registry\nTREES = Registry('tree', package='orchard_of_tests')\n"
    )
    (folder / "oak.py").write_text("from . import TREES\n@TREES.register('oak', 'eiche')\nclass Oak: pass\n")
    (folder / "firs.py").write_text("from . import TREES\n@TREES.register('spruce')\nclass Spruce: pass\n")
    (folder / "_private.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "orchard_of_tests"
    for name in [name for name in sys.modules if name.startswith("orchard_of_tests")]:
        del sys.modules[name]


def test_names_and_aliases(fruit: Registry[type]) -> None:
    assert fruit.get("apple") is fruit.get("pomme") is int
    assert fruit.names() == tuple(fruit) == ("apple", "pear")
    assert fruit.canonical("pomme") == "apple"
    assert fruit.aliases() == {"pomme": "apple"}
    assert "pomme" in fruit
    assert "fig" not in fruit
    assert 3 not in fruit
    assert len(fruit) == 2
    assert repr(fruit) == "Registry('fruit': apple, pear)"


def test_unknown_names_get_the_closest(fruit: Registry[type]) -> None:
    with pytest.raises(UnknownNameError) as caught:
        fruit.get("Aple")
    assert str(caught.value) == (
        "get fruit: received fruit 'Aple'; expected one of apple, pear, pomme; did you mean 'apple'?"
    )
    assert caught.value.suggestions == ("apple",)
    with pytest.raises(UnknownNameError, match=r"received fruit 'zzz'; expected one of apple, pear, pomme$"):
        fruit.get("zzz")
    with pytest.raises(UnknownNameError, match="expected a registered stone, but there is none"):
        Registry("stone").get("ruby")
    with pytest.raises(DtypeError, match="get fruit: received a name of type int; expected a string"):
        fruit.get(3)  # type: ignore[arg-type]


def test_a_name_belongs_to_one_object(fruit: Registry[type]) -> None:
    fruit.register("apple", "pomme")(int)  # the same object again, as when a module is reloaded
    with pytest.raises(VSAError, match=r"register fruit 'apple': received <class 'float'>; expected a free name"):
        fruit.register("apple")(float)
    with pytest.raises(VSAError, match=r"register fruit 'pomme'"):
        fruit.register("fig", "pomme")(float)
    with pytest.raises(VSAError, match=r"received ''"):
        fruit.register("")(float)
    assert fruit.names() == ("apple", "pear")


def test_a_table_of_modules_is_imported_on_demand() -> None:
    registry: Registry[type] = Registry("thing", {"lazy": "wave"}, {"l": "lazy"})
    assert registry.canonical("l") == "lazy"
    assert "lazy" in registry
    with pytest.raises(VSAError, match="received module wave that registers no 'lazy'"):
        registry.get("l")
    with pytest.raises(UnknownNameError, match="alias 'l'"):
        Registry("thing", {}, {"l": "lazy"})


def test_a_package_is_discovered(package: str) -> None:
    __import__(package)
    trees = sys.modules[package].TREES
    assert trees.get("oak").__name__ == "Oak"
    assert f"{package}.firs" not in sys.modules  # only the module of that name
    assert trees.get("spruce").__name__ == "Spruce"  # no module has this name: all are searched
    assert trees.get("eiche").__name__ == "Oak"
    assert sorted(trees.names()) == ["oak", "spruce"]
    with pytest.raises(UnknownNameError, match="did you mean 'spruce'"):
        trees.get("spruse")
