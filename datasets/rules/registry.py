"""Rules by name and by code."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from vsa.errors import DtypeError, VSAError
from vsa.registry import Registry

from .domains import Bools

if TYPE_CHECKING:
    from .base import Rule

__all__ = ["PUBLISHED", "RULES", "declares", "rule_code", "rule_name", "rules_named"]

PUBLISHED = ("Constant", "Progression", "Arithmetic", "Distribute_Three")  # of the published data sets; codes 0 .. 3
MOST_CODE = 127  # codes are int8

U = TypeVar("U")


class _Rules(Registry["Rule"]):
    """Rules by name and by code: neither is given twice."""

    kind_of_rule: type[Any] | None = None  # said by the module that defines it, which needs this table

    def register(self, name: str, *aliases: str) -> Callable[[U], U]:
        """As :meth:`vsa.registry.Registry.register`; the rule's own name, its code and its parameters are checked.

        Args:
            name: the rule's ``name``.
            aliases: further names.

        Returns:
            A decorator that returns its argument unchanged.

        Raises:
            VSAError: name or code belong to another rule, or the declarations contradict each other.
        """
        enter = super().register(name, *aliases)

        def checked(item: U) -> U:
            if name in self._modules:  # ours are registered first, whoever asks for them
                importlib.import_module(self._modules[name])
            self._check_declared(name, item)
            return enter(item)

        return checked

    def coded(self) -> dict[int, str]:
        """Code -> name of every rule registered so far, and of the published ones."""
        return {**dict(enumerate(PUBLISHED)), **{rule.code: name for name, rule in self._entries.items()}}

    def in_order(self, names: tuple[str, ...]) -> tuple[Rule, ...]:
        """The rules of some names by their codes; reasoners ask often, so they are looked up once."""
        held = _HELD.get(names, ())
        if not held or any(self._entries.get(rule.name) is not rule for rule in held):
            _HELD[names] = held = tuple(sorted(map(self.get, names), key=lambda rule: rule.code))
        return held

    def _check_declared(self, name: str, rule: Any) -> None:
        what = f"register rule {name!r}"
        if self.kind_of_rule is None or not isinstance(rule, self.kind_of_rule):
            raise DtypeError(what, received=repr(rule), expected="an instance of a class derived from Rule")
        if rule.name != name:
            raise VSAError(what, received=f"a rule whose name is {rule.name!r}", expected=f"name = {name!r}")
        if not 0 <= rule.code <= MOST_CODE:
            raise VSAError(what, received=f"code {rule.code}", expected=f"0 .. {MOST_CODE}")
        owner = self.coded().get(rule.code, name)
        if owner != name:
            free = next(code for code in range(MOST_CODE + 1) if code not in self.coded())
            raise VSAError(
                what,
                received=f"code {rule.code}",
                expected=f"a free code, but it is that of {owner!r}",
                hint=f"{free} is free",
            )
        if not rule.parameters or len(set(rule.parameters)) != len(rule.parameters):
            raise VSAError(what, received=f"parameters {rule.parameters}", expected="at least one, each once")
        if 0 in rule.parameters and len(rule.parameters) > 1:
            raise VSAError(
                what,
                received=f"parameters {rule.parameters}",
                expected="(0,), or several of which none is 0",
                hint="0 says that a rule has no parameter, or that a file does not tell it",
            )
        strange = set(rule.governs) - _GOVERNABLE
        if strange or not rule.governs:
            raise VSAError(what, received=f"governs {rule.governs}", expected=f"some of {sorted(_GOVERNABLE)}")


_HELD: dict[tuple[str, ...], tuple[Rule, ...]] = {}  # names -> rules that were found under them
_GOVERNABLE = {"Number/Position", "Number", "Position", "Type", "Size", "Color"}

RULES: _Rules = _Rules(
    "rule",
    {
        "Constant": f"{__package__}.constant",
        "Progression": f"{__package__}.progression",
        "Arithmetic": f"{__package__}.arithmetic",
        "Distribute_Three": f"{__package__}.distribute_three",
    },
    entry_points="vsa_reasoning.rules",
)


def rules_named(names: Iterable[str]) -> tuple[Rule, ...]:
    """Registered rules by name, in the order of their codes.

    Args:
        names: of rules.

    Returns:
        The rules.

    Raises:
        UnknownNameError: no rule has this name.
    """
    return RULES.in_order(tuple(names))


def rule_name(code: int) -> str:
    """The name of a rule.

    Args:
        code: of a registered rule.

    Returns:
        Its name.

    Raises:
        VSAError: no rule has this code.
    """
    known = RULES.coded()
    if code not in known:
        words = ", ".join(f"{number} ({name})" for number, name in sorted(known.items()))
        raise VSAError("name a rule", received=f"code {code}", expected=f"one of {words}")
    return known[code]


def declares(codes: np.ndarray, what: str) -> Bools:
    """What the rules of puzzles declare.

    Args:
        codes: (N,) of rules.
        what: a yes-or-no declaration of :class:`Rule`, such as ``keeps_values``.

    Returns:
        bool (N,).
    """
    table = np.zeros(MOST_CODE + 1, dtype=np.bool_)
    for code in np.flatnonzero(np.bincount(codes, minlength=1)):
        table[code] = getattr(RULES.get(rule_name(int(code))), what)
    return np.asarray(table[codes])


def rule_code(name: str) -> int:
    """The code of a rule.

    Args:
        name: of a registered rule.

    Returns:
        Its code.

    Raises:
        UnknownNameError: no rule has this name.
    """
    return RULES.get(name).code
