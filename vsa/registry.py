"""Names to objects, so that a new algebra, device, rule or learner is one file and no if-chain.

>>> FRUIT: Registry[type] = Registry("fruit")
>>> @FRUIT.register("apple", "pomme")
... class Apple: ...
>>> FRUIT.get("pomme") is Apple
True
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from .errors import DtypeError, UnknownNameError, VSAError

__all__ = ["Registry"]

T = TypeVar("T")
U = TypeVar("U")


class Registry(Generic[T]):
    """A table from names to objects of one kind.

    Args:
        kind: what it holds, in the singular, for error messages (``"algebra"``).
        modules: names whose object is registered when a module is imported: name -> absolute module path. The module is
            imported at the first :meth:`get`, which keeps ``import`` of the package cheap.
        aliases: further names for entries of ``modules``: alias -> name.
        package: absolute path of a package whose modules are members. :meth:`get` imports the module of the name asked
            for; a name that is no module's (an alias, a second member of a file) makes it import them all. Modules
            whose name begins with an underscore are left alone.
    """

    def __init__(
        self,
        kind: str,
        modules: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        package: str | None = None,
    ) -> None:
        self.kind = kind
        self._package = package
        self._modules: dict[str, str] = dict(modules or {})
        self._aliases: dict[str, str] = dict(aliases or {})
        self._entries: dict[str, T] = {}
        for alias, name in self._aliases.items():
            if name not in self._modules:
                raise UnknownNameError(f"{kind} registry, alias {alias!r}", name=name, known=self._modules, kind=kind)

    def register(self, name: str, *aliases: str) -> Callable[[U], U]:
        """Decorator that enters an object under a name.

        Args:
            name: the canonical name.
            aliases: further names for the same object.

        Returns:
            A decorator that returns its argument unchanged.

        Raises:
            VSAError: a name is already taken by another object.
        """

        def enter(item: U) -> U:
            for alias in (name, *aliases):
                self._check_free(alias, name, item)
            self._entries[name] = item  # type: ignore[assignment]  # U is a T; the decorator keeps the narrower type
            for alias in aliases:
                self._aliases[alias] = name
            return item

        return enter

    def get(self, name: str) -> T:
        """The object registered under a name or an alias.

        Args:
            name: a canonical name or an alias.

        Returns:
            The registered object.

        Raises:
            UnknownNameError: nothing has this name; the message lists what exists and the closest matches.
            DtypeError: the name is not a string.
        """
        canonical = self.canonical(name)
        if canonical not in self._entries:
            importlib.import_module(self._modules[canonical])
        if canonical not in self._entries:
            raise VSAError(
                f"get {self.kind} {name!r}",
                received=f"module {self._modules[canonical]} that registers no {canonical!r}",
                hint="register the object in that module",
            )
        return self._entries[canonical]

    def canonical(self, name: str) -> str:
        """The canonical name behind a name or an alias.

        Args:
            name: a canonical name or an alias.

        Returns:
            The canonical name.

        Raises:
            UnknownNameError: nothing has this name.
            DtypeError: the name is not a string.
        """
        if not isinstance(name, str):
            raise DtypeError(f"get {self.kind}", received=f"a name of type {type(name).__name__}", expected="a string")
        if not self._has(name):
            self._discover(name)
        if self._has(name):
            return self._aliases.get(name, name)
        raise UnknownNameError(
            f"get {self.kind}", name=name, known=(*self.names(), *sorted(self._aliases)), kind=self.kind
        )

    def names(self) -> tuple[str, ...]:
        """Canonical names: those of the module table first, then those registered, in order of entry.

        With a ``package``, this imports all of its modules.
        """
        self._discover()
        return tuple(dict.fromkeys((*self._modules, *self._entries)))

    def aliases(self) -> dict[str, str]:
        """Alias to canonical name. With a ``package``, this imports all of its modules."""
        self._discover()
        return dict(self._aliases)

    def __contains__(self, name: object) -> bool:
        self._discover()
        return isinstance(name, str) and self._has(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def __len__(self) -> int:
        return len(self.names())

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self.names())})"

    def _has(self, name: str) -> bool:
        return name in self._entries or name in self._modules or name in self._aliases

    def _discover(self, name: str | None = None) -> None:
        """Import the package's module called ``name``; all its modules when there is none or it does not enter it."""
        if self._package is None:
            return
        package = importlib.import_module(self._package)
        found = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]
        if name in found:
            importlib.import_module(f"{self._package}.{name}")
            if name in self._entries:
                return
        for module in found:
            importlib.import_module(f"{self._package}.{module}")

    def _check_free(self, alias: object, name: str, item: object) -> None:
        if not isinstance(alias, str) or not alias:
            raise DtypeError(f"register {self.kind}", received=repr(alias), expected="a non-empty string as name")
        taken = self._entries.get(self._aliases.get(alias, alias))
        # A reloaded module registers its objects again.
        path = [(getattr(o, "__module__", None), getattr(o, "__qualname__", id(o))) for o in (taken, item)]
        if taken is not None and path[0] != path[1]:
            raise VSAError(
                f"register {self.kind} {alias!r}",
                received=f"{item!r}",
                expected=f"a free name, but it belongs to {taken!r}",
                hint="choose another name",
            )
        if alias != name and alias in self._modules:
            raise VSAError(
                f"register {self.kind} {name!r}",
                received=f"alias {alias!r}",
                expected="a free name, but it is a canonical one",
                hint="choose another alias",
            )
        if alias in self._aliases and self._aliases[alias] != name:
            raise VSAError(
                f"register {self.kind} {name!r}",
                received=f"the name {alias!r}",
                expected=f"a free name, but it is an alias of {self._aliases[alias]!r}",
                hint="choose another name",
            )
