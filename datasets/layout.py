"""What puzzles look like before one of them is seen: for whoever builds something that has to fit them."""

from __future__ import annotations

from dataclasses import dataclass

from vsa.errors import UnknownNameError, VSAError

from .arrays import PuzzleArrays
from .attributes import ENTITY_ATTRIBUTES
from .constellations import CONSTELLATIONS, Constellation
from .panels import CONFOUNDER, Key, confounder_names, offset_of, range_of, values_of
from .rules.base import PUBLISHED, rules_named

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Constellations, columns and ranges of one or several puzzle sets.

    A perception front-end is given it by the argument ``layout``; weights keep it in their header.

    Args:
        dataset: where the puzzles come from, a name of ``datasets.load``.
        constellations: published names, at least one.
        columns: n, panels in a row.
        maxval: the largest value of I-RAVEN-X; None where each attribute has the range of RAVEN.
        confounders: attributes without a rule.
        rules: names of the rules that may be at work, in the order of their codes.
    """

    dataset: str
    constellations: tuple[str, ...]
    columns: int = 3
    maxval: int | None = None
    confounders: int = 0
    rules: tuple[str, ...] = PUBLISHED

    def __post_init__(self) -> None:
        if not self.constellations:
            raise VSAError("Layout", received="no constellation", expected="at least one published name")
        for name in self.constellations:
            if name not in CONSTELLATIONS:
                raise UnknownNameError("Layout", name=name, known=CONSTELLATIONS, kind="constellation")

    @classmethod
    def of(cls, *sets: PuzzleArrays) -> Layout:
        """The layout of puzzles at hand.

        Args:
            sets: at least one; their rows are equally long.

        Returns:
            The layout; of several ranges the widest.

        Raises:
            VSAError: no set, or rows of different length.
        """
        columns = {arrays.columns for arrays in sets}
        if len(columns) != 1:
            raise VSAError("Layout.of", received=f"rows of {sorted(columns) or 'no'} panels", expected="one length")
        ranges = [arrays.maxval for arrays in sets if arrays.maxval is not None]
        names = {name for arrays in sets for part in arrays.components for name in confounder_names(part)}
        rules = {rule.name for arrays in sets for rule in arrays.grammar}
        return cls(
            dataset=sets[0].dataset,
            constellations=tuple(dict.fromkeys(arrays.constellation for arrays in sets)),
            columns=columns.pop(),
            maxval=max(ranges) if ranges else None,
            confounders=len(names),
            rules=tuple(rule.name for rule in rules_named(rules)),
        )

    def attributes(self, constellation: str) -> dict[Key, int]:
        """What a Scene of these puzzles holds.

        Args:
            constellation: one of ``constellations``.

        Returns:
            (component, attribute) -> V, the length of the attribute's PMF axis, whose index is the magnitude that
            arithmetic rules add (values below the smallest magnitude have no mass); for Position the number of slots S.
        """
        found: dict[Key, int] = {}
        for number, part in enumerate(self._constellation(constellation).components):
            names = [attribute.name for attribute in ENTITY_ATTRIBUTES]
            names += [f"{CONFOUNDER}{k}" for k in range(self.confounders)]
            if part.slots > 1:
                names.insert(0, "Number")
            for name in names:
                found[number, name] = values_of(name, part.slots, self.maxval) + offset_of(name, self.maxval)
            if part.slots > 1:
                found[number, "Position"] = part.slots
        return found

    def ranges(self, constellation: str) -> dict[Key, tuple[int, int]]:
        """Which of the values on an attribute's axis its component may have.

        Args:
            constellation: one of ``constellations``.

        Returns:
            (component, attribute) -> (low, high), magnitudes, both inclusive; nothing for Position.
        """
        parts = self._constellation(constellation).components
        keys = (key for key in self.attributes(constellation) if key[1] != "Position")
        return {(number, name): range_of(parts[number], name, self.maxval) for number, name in keys}

    def _constellation(self, name: str) -> Constellation:
        if name not in self.constellations:
            raise UnknownNameError("Layout.attributes", name=name, known=self.constellations, kind="constellation")
        return CONSTELLATIONS[name]
