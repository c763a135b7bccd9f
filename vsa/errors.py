"""The errors of this project: each is one sentence with operation, what was received, what was expected, what to do.

All derive from :class:`VSAError`, which is a ``ValueError``; wrong types and dtypes are a ``TypeError`` too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

__all__ = [
    "CorruptFileError",
    "DtypeError",
    "SettingsError",
    "ShapeError",
    "UnknownNameError",
    "UnsupportedError",
    "VSAError",
    "closest",
    "printable",
]

_MANY = 60  # names that a sentence lists


class VSAError(ValueError):
    """A wrong use of the library.

    Args:
        operation: what was being done, as the caller would name it (``"bind"``, ``"read puzzles.json"``).
        received: what came in. Empty: left out of the sentence.
        expected: what would have been right. Empty: left out of the sentence.
        hint: what to do about it. Empty: left out of the sentence.
    """

    def __init__(self, operation: str, *, received: object = "", expected: object = "", hint: str = "") -> None:
        self.operation = printable(str(operation))
        self.received = printable(str(received))
        self.expected = str(expected)
        self.hint = str(hint)
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        parts = []
        if self.received:
            parts.append(f"received {self.received}")
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.hint:
            parts.append(self.hint)
        return f"{self.operation}: {'; '.join(parts)}" if parts else self.operation

    def __str__(self) -> str:
        return self._sentence()

    def __reduce__(self) -> tuple[Any, ...]:
        # The default passes args positionally, which the keyword-only signature refuses: worker processes need this.
        fields = {"received": self.received, "expected": self.expected, "hint": self.hint}
        return (_rebuild, (type(self), self.operation, fields, dict(self.__dict__)))


def _rebuild(cls: type[VSAError], operation: str, fields: dict[str, str], state: dict[str, Any]) -> VSAError:
    error = cls.__new__(cls)
    VSAError.__init__(error, operation, received=fields["received"], expected=fields["expected"], hint=fields["hint"])
    error.__dict__.update(state)
    return error


class ShapeError(VSAError):
    """An array or a tensor has the wrong shape."""


class DtypeError(VSAError, TypeError):
    """A value has the wrong type, or a tensor the wrong dtype or device."""


class CorruptFileError(VSAError):
    """A file is truncated, damaged, or not what it claims to be."""


class SettingsError(VSAError):
    """Settings that are unknown, contradictory, or missing."""


class UnsupportedError(VSAError):
    """An operation that this algebra, backend or device does not have."""


class UnknownNameError(VSAError):
    """A name that nothing is registered under.

    Args:
        operation: what was being done.
        name: the name asked for.
        known: the names that exist.
        kind: what is named, in the singular (``"algebra"``).
        hint: what to do; by default the closest known names.
    """

    def __init__(
        self, operation: str, *, name: object, known: Iterable[str], kind: str = "name", hint: str = ""
    ) -> None:
        self.name = name
        self.kind = kind
        self.known = tuple(known)
        self.suggestions = closest(name, self.known)
        if not hint and self.suggestions:
            hint = "did you mean " + " or ".join(repr(s) for s in self.suggestions) + "?"
        super().__init__(
            operation,
            received=f"{kind} {name!r}",
            expected=_listed(self.known) if self.known else f"a registered {kind}, but there is none",
            hint=hint,
        )


def _listed(known: tuple[str, ...]) -> str:
    """All names, or of many the first."""
    if len(known) <= _MANY:
        return "one of " + ", ".join(known)
    return f"one of {len(known)} names: {', '.join(known[:8])}, ..."


def closest(name: object, known: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """Known names that resemble ``name``, best first.

    Args:
        name: what was typed.
        known: the names that exist.
        limit: at most this many are returned.

    Returns:
        Up to ``limit`` names; case, dashes and underscores do not count as differences.
    """
    folded: dict[str, str] = {}
    for entry in known:
        folded.setdefault(_fold(entry), entry)
    return tuple(folded[match] for match in difflib.get_close_matches(_fold(str(name)), folded, n=limit, cutoff=0.6))


def printable(text: str) -> str:
    """A stranger's text (a file's name, say), fit for one line of any terminal.

    Args:
        text: any.

    Returns:
        The same with line ends, control characters and lone surrogates escaped.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _fold(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
