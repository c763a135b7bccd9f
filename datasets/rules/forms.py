"""What reasoners may need to know of a rule beside its functions: its pattern, or its matrices panel by panel."""

from __future__ import annotations

from dataclasses import dataclass

from vsa.errors import VSAError

from ..attributes import ROWS

__all__ = ["ALIKE", "PATTERNS", "ROWS", "SHIFTS", "STEPS", "TOTALS", "PanelForm", "Relation"]

ALIKE = "alike"  # the panels of a row are alike
STEPS = "steps"  # each panel is the one before it plus the parameter, which is not zero
TOTALS = "totals"  # the last panel is the first plus (parameter 1) or minus (-1) the others
SHIFTS = "shifts"  # n distinct values, each row the one before it shifted by the parameter, 1 or -1
PATTERNS = (ALIKE, STEPS, TOTALS, SHIFTS)


@dataclass(frozen=True)
class Relation:
    """One panel in terms of others: values are added and subtracted, sets united and taken away.

    Args:
        panel: which panel of the matrix, counted row by row.
        plus: panels whose values are added; their sets are united. At least one.
        minus: panels whose values are subtracted; their sets are taken away.
        step: added at the end; a set moves on by as many slots.
    """

    panel: int
    plus: tuple[int, ...]
    minus: tuple[int, ...] = ()
    step: int = 0

    @property
    def moves(self) -> bool:
        """Whether the panel is a single other one, moved by the step."""
        return len(self.plus) == 1 and not self.minus

    @property
    def copies(self) -> bool:
        """Whether the panel is another one as it is."""
        return self.moves and self.step == 0


@dataclass(frozen=True)
class PanelForm:
    """All matrices of three rows that follow a rule: panels that follow from others, the rest free but apart.

    Args:
        columns: n.
        relations: in an order in which each uses free panels and panels of earlier ones; one gives the last panel.
        apart: pairs of panels that differ.

    Raises:
        VSAError: a panel that does not exist, follows twice or is used too early, or none gives the last panel.
    """

    columns: int
    relations: tuple[Relation, ...]
    apart: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        count = ROWS * self.columns
        later = [relation.panel for relation in self.relations]
        used = [panel for r in self.relations for panel in (r.panel, *r.plus, *r.minus)]
        wrong = [panel for panel in (*used, *(p for pair in self.apart for p in pair)) if not 0 <= panel < count]
        if wrong:
            raise VSAError("PanelForm", received=f"panel {wrong[0]}", expected=f"0 to {count - 1}")
        for place, relation in enumerate(self.relations):
            early = {*relation.plus, *relation.minus} & set(later[place:])
            if early or relation.panel in later[:place] or not relation.plus:
                raise VSAError(
                    "PanelForm",
                    received=f"{relation}",
                    expected="panels that are free or follow from earlier ones",
                    hint="each panel follows at most once, from at least one other",
                )
        if count - 1 not in later:
            raise VSAError("PanelForm", received=f"relations for {later}", expected=f"one for panel {count - 1}")

    @classmethod
    def of_rows(
        cls, columns: int, relations: tuple[Relation, ...], apart: tuple[tuple[int, int], ...] = ()
    ) -> PanelForm:
        """The form of a rule that says the same of each row by itself.

        Args:
            columns: n.
            relations: of the panels 0 .. n - 1 of a row.
            apart: of the panels of a row.

        Returns:
            The form.
        """

        def moved(panels: tuple[int, ...], row: int) -> tuple[int, ...]:
            return tuple(row * columns + panel for panel in panels)

        return cls(
            columns,
            tuple(
                Relation(row * columns + r.panel, moved(r.plus, row), moved(r.minus, row), r.step)
                for row in range(ROWS)
                for r in relations
            ),
            tuple((row * columns + a, row * columns + b) for row in range(ROWS) for a, b in apart),
        )

    @property
    def last(self) -> Relation:
        """What gives the last panel of the matrix."""
        return next(relation for relation in self.relations if relation.panel == ROWS * self.columns - 1)

    def parts(self) -> tuple[PanelPart, ...]:
        """The matrix in parts that have nothing to do with each other, such as its rows."""
        group = list(range(ROWS * self.columns))
        ties = [(r.panel, *r.plus, *r.minus) for r in self.relations] + list(self.apart)
        for first, *others in ties:
            for other in others:
                old, new = group[other], group[first]
                group = [new if g == old else g for g in group]
        found = []
        for name in dict.fromkeys(group):
            panels = tuple(panel for panel, g in enumerate(group) if g == name)
            found.append(
                PanelPart(
                    panels,
                    tuple(r for r in self.relations if r.panel in panels),
                    tuple(pair for pair in self.apart if pair[0] in panels),
                )
            )
        return tuple(found)


@dataclass(frozen=True)
class PanelPart:
    """Panels that depend on each other, and how.

    Args:
        panels: of the matrix, in order.
        relations: of these panels.
        apart: pairs of these panels that differ.
    """

    panels: tuple[int, ...]
    relations: tuple[Relation, ...]
    apart: tuple[tuple[int, int], ...]
