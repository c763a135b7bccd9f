"""Named child seeds: one run seed, and every consumer of randomness has a generator of its own.

Seeds are integers, made by hashing; callers give them to ``numpy.random.default_rng`` or ``torch.Generator``. A child
seed depends on nothing but its names, so results do not change with the number of workers, the order of calls, or the
platform.

>>> child_seed(0, "generate", "center_single", 17) == child_seed(0, "generate", "center_single", 17)
True
"""

from __future__ import annotations

import hashlib
import operator
from typing import SupportsIndex

from .errors import DtypeError

__all__ = ["child_seed"]


def child_seed(seed: SupportsIndex, *names: str | SupportsIndex) -> int:
    """A seed for the consumer that ``names`` name.

    Args:
        seed: the parent seed, any integer, numpy's included.
        names: the path to the consumer; strings and integers (``"train", "shuffle", 3``). 1 and ``"1"`` differ.

    Returns:
        An integer in ``[0, 2**63)``: BLAKE2b of an unambiguous encoding of the path, the same on every platform and
        Python version.

    Raises:
        DtypeError: the seed is no integer, or a name neither a string nor an integer.
    """
    digest = hashlib.blake2b(digest_size=8, person=b"vsa.seeding")
    digest.update(_encode(seed, "seed"))
    for name in names:
        digest.update(_encode(name, "name"))
    return int.from_bytes(digest.digest(), "little") >> 1


def _encode(item: object, role: str) -> bytes:
    """Type tag, length, content: no two different paths give the same bytes."""
    if isinstance(item, str) and role == "name":
        tag, content = b"s", item.encode("utf-8")
    else:
        if isinstance(item, bool):
            raise _refuse(item, role)
        try:
            number = operator.index(item)  # type: ignore[arg-type]  # accepts numpy integers; the except is the check
        except TypeError:
            raise _refuse(item, role) from None
        tag, content = b"i", str(number).encode("ascii")
    return tag + len(content).to_bytes(8, "little") + content


def _refuse(item: object, role: str) -> DtypeError:
    expected = "an integer" if role == "seed" else "strings and integers"
    return DtypeError(f"child_seed, {role}", received=f"{item!r} of type {type(item).__name__}", expected=expected)
