"""Names to objects, so that a new algebra, device, rule or learner is one file and no if-chain.

>>> FRUIT: Registry[type] = Registry("fruit")
>>> @FRUIT.register("apple", "pomme")
... class Apple: ...
>>> FRUIT.get("pomme") is Apple
True
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Collection, Iterator, Mapping
from types import ModuleType
from typing import Any, Generic, TypeVar

from . import plugins
from .errors import DtypeError, SettingsError, UnknownNameError, VSAError

__all__ = ["Registry", "name_and_options"]

T = TypeVar("T")
U = TypeVar("U")


def name_and_options(chosen: str | Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """A member of a registry as settings spell it, taken apart.

    Args:
        chosen: a name, or a mapping of ``name`` and options, side by side.
        where: the setting's name, for messages.

    Returns:
        The name and the options.

    Raises:
        SettingsError: a mapping without a name.
    """
    if isinstance(chosen, str):
        return chosen, {}
    options = dict(chosen)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise SettingsError(
            f"setting {where}",
            received=f"{dict(chosen)} without a name"[:200],
            expected="a name, or a name and its options",
            hint=f"write {where}.name=NAME",
        )
    return name, options


class Registry(Generic[T]):
    """A table from names to objects of one kind.

    Args:
        kind: what it holds, in the singular, for error messages (``"algebra"``).
        modules: names whose object is registered when a module is imported: name -> absolute module path. The module is
            imported at the first :meth:`get`, which keeps ``import`` of the package cheap.
        aliases: further names for entries of ``modules``: alias -> name.
        package: absolute path of a package whose modules are members. :meth:`get` imports the module of the name asked
            for; a name that is no module's (an alias, a second member of a file) makes it import them all. Modules
            whose name begins with an underscore are left alone. A module that registers nothing is no member.
        besides: modules of ``package`` that are left alone too: commands, which need more than the members do.
        entry_points: group of the entry points by which other packages add members (``"vsa_reasoning.algebras"``).
            Their names are listed without importing them; the first :meth:`get` imports. A name that two packages
            give, or that is ours, is refused when it is asked for, and only then.
        base: class that members are derived from, as ``"module:Name"``; None: members may be anything.
    """

    def __init__(
        self,
        kind: str,
        modules: Mapping[str, str] | None = None,
        aliases: Mapping[str, str] | None = None,
        package: str | None = None,
        besides: Collection[str] = (),
        entry_points: str | None = None,
        base: str | None = None,
    ) -> None:
        self.kind = kind
        self._package, self._besides = package, besides
        self._group, self._base = entry_points, base
        self._loaded: set[str] = set()  # names of other packages that have been imported
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
            DtypeError: the name is not a string, or what has it is not derived from the base class.
            VSAError: another package's member that cannot be imported, or whose name is not its own.
        """
        canonical = self.canonical(name)
        for offered in dict.fromkeys((name, canonical)):
            if offered not in self._loaded and offered in self._offers():
                self._load(offered)
        if canonical not in self._entries:
            importlib.import_module(self._modules[canonical])
        if canonical not in self._entries:
            raise VSAError(
                f"get {self.kind} {name!r}",
                received=f"module {self._modules[canonical]} that registers no {canonical!r}",
                hint="register the object in that module",
            )
        item = self._entries[canonical]
        self._check_base(name, item)
        return item

    def make(self, chosen: str | Mapping[str, Any], where: str = "") -> Any:
        """What a registered class or function makes.

        Args:
            chosen: a name, or a mapping of ``name`` and the options of the constructor, side by side.
            where: the setting's name, for messages. Default: the kind.

        Returns:
            The object made.

        Raises:
            UnknownNameError: nothing has this name, or it has no such option; the message lists those that exist.
            SettingsError: a mapping without a name.
        """
        name, options = name_and_options(chosen, where or self.kind)
        target: Any = self.get(name)
        known = tuple(inspect.signature(target).parameters)
        for option in options:
            if option not in known:
                raise UnknownNameError(
                    f"setting {where}.{option}" if where else f"get {self.kind} {name}",
                    name=option,
                    known=known,
                    kind="option",
                )
        return target(**options)

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
        if name in self._offers():
            return name
        raise UnknownNameError(
            f"get {self.kind}", name=name, known=(*self.names(), *sorted(self._aliases)), kind=self.kind
        )

    def names(self) -> tuple[str, ...]:
        """Canonical names: of the module table, then those registered in order of entry, then other packages'.

        With a ``package``, this imports all of its modules. Other packages' are not imported.
        """
        self._discover()
        return tuple(dict.fromkeys((*self._modules, *self._entries, *self._offers())))

    def aliases(self) -> dict[str, str]:
        """Alias to canonical name. With a ``package``, this imports all of its modules."""
        self._discover()
        return dict(self._aliases)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        if not self._has(name):
            self._discover(name)  # the module of that name, if there is one: the others need not be imported
        return self._has(name) or name in self._offers()

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
        every = [m.name for m in pkgutil.iter_modules(package.__path__)]
        found = [module for module in every if not module.startswith("_") and module not in self._besides]
        if name in found:
            importlib.import_module(f"{self._package}.{name}")
            if name in self._entries:
                return
        for module in found:
            importlib.import_module(f"{self._package}.{module}")

    def _offers(self) -> dict[str, tuple[plugins.Offer, ...]]:
        return {} if self._group is None else plugins.offers(self._group)

    def _load(self, name: str) -> None:
        """Import another package's member, which registers itself or is entered under the entry point's name."""
        offer, *others = self._offers()[name]
        whose = f"{offer.value} of the distribution {offer.distribution}"
        if others:
            names = " and ".join(f"{other.value} of {other.distribution}" for other in (offer, *others))
            raise VSAError(
                f"get {self.kind} {name!r}",
                received=f"a name that several distributions give: {names}",
                expected="one of them",
                hint="uninstall the others",
            )
        canonical = self._aliases.get(name, name)
        held = self._entries.get(canonical)
        if canonical in self._modules or (held is not None and not offer.defines(held)):
            raise VSAError(
                f"get {self.kind} {name!r}",
                received=f"a name that {whose} gives too",
                expected=f"a name of its own, since {name!r} is {'ours' if held is None else repr(held)}",
                hint=f"uninstall {offer.distribution.split()[0]}, or rename its entry point",
            )
        member = offer.load()
        held = self._entries.get(name)
        if held is None and isinstance(member, ModuleType):
            raise VSAError(
                f"get {self.kind} {name!r}",
                received=f"{whose}, a module that registers no {name!r}",
                expected="an entry point that names the class, or a module that registers it under this name",
            )
        if held is not None and not isinstance(member, ModuleType) and held is not member:
            raise VSAError(
                f"get {self.kind} {name!r}",
                received=f"{whose}, whose module registers {held!r} under this name",
                expected="one object for one name",
            )
        if held is None:
            self._check_base(name, member, whose)
            self.register(name)(member)
        self._loaded.add(name)

    def _check_base(self, name: str, item: object, whose: str = "") -> None:
        if self._base is None:
            return
        module, _, attribute = self._base.partition(":")
        base = getattr(importlib.import_module(module), attribute)
        if not (isinstance(item, type) and issubclass(item, base)):
            raise DtypeError(
                f"get {self.kind} {name!r}",
                received=f"{item!r}{' from ' + whose if whose else ''}",
                expected=f"a class derived from {module}.{attribute}",
            )

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
