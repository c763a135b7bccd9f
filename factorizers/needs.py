"""What a factorizer needs of an algebra: properties that the algebra declares.

A declaration is not taken on trust: the laws behind those that decide what is computed are run once for each algebra.
Whether products spread as declared takes a larger sample; that is left to ``vsa.check_algebra``.

>>> import vsa
>>> [need.declared for need in (ADJOINT, SIGNS, BLOCKS) if need.holds(vsa.get("fhrr"))]
['laws.adjoint']
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

import vsa
from vsa import Algebra

__all__ = [
    "ADJOINT", "ASSOCIATIVE", "BLOCKS", "COMMUTATIVE", "IDENTITY", "SIGNS", "SIGNS_OR_BLOCKS", "SUMS", "Need",
    "broken_law", "first_missing",
]  # fmt: skip

_LAWS = ("commutative", "associative", "adjoint", "signs", "blocks", "relaxed")


@dataclass(frozen=True)
class Need:
    """A property without which a factorizer's answers would be wrong.

    Args:
        declared: what the algebra would have to declare, as its author would look for it: ``"laws.adjoint"``.
        words: what that means, for the sentence of a refusal.
        holds: whether an algebra declares it.
    """

    declared: str
    words: str
    holds: Callable[[Algebra], bool]


def _sums(algebra: Algebra) -> bool:
    relaxed = algebra.relaxed
    able = relaxed.laws.linear and relaxed.laws.adjoint and relaxed.laws.reason("normalize") is None
    return algebra.laws.signs or able


COMMUTATIVE = Need("laws.commutative", "binding in any order", lambda a: a.laws.commutative)
ASSOCIATIVE = Need("laws.associative", "binding that needs no brackets", lambda a: a.laws.associative)
IDENTITY = Need("identity", "a vector that changes nothing when bound", lambda a: a.laws.reason("identity") is None)
ADJOINT = Need("laws.adjoint", "unbinding as the adjoint of binding", lambda a: a.laws.adjoint)
SIGNS = Need("laws.signs", "entries of +1 and -1 that multiply when bound", lambda a: a.laws.signs)
BLOCKS = Need("block_length", "blocks that bind by adding positions", lambda a: a.block_length is not None)
SIGNS_OR_BLOCKS = Need(
    "laws.signs or block_length",
    "entries of +1 and -1, or blocks, for exact keys",
    lambda a: a.laws.signs or a.block_length is not None,
)
SUMS = Need(
    "laws.signs, or laws.linear with normalize, itself or in its relaxed algebra",
    "room for a sum of atoms, which estimates are",
    _sums,
)


def first_missing(needs: Iterable[Need], algebra: Algebra) -> Need | None:
    """The first need that an algebra does not meet; None where it meets all.

    Args:
        needs: in the order in which they are worth saying.
        algebra: whose declarations are read.
    """
    return next((need for need in needs if not need.holds(algebra)), None)


@lru_cache(maxsize=256)
def broken_law(algebra: Algebra) -> str | None:
    """The first law that an algebra claims and breaks, of those by which factorizers compute; None where all hold.

    Args:
        algebra: a value without state, so that its answer is kept.

    Returns:
        The law, and what was found.
    """
    for law in _LAWS:
        try:
            vsa.checks.check_law(algebra, law)
        except vsa.checks.LawError as broken:
            return f"the law {law}: {broken.received}"
    return None
