"""What a solver sees of a puzzle: probability mass functions, without rules, target or file name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from datasets.panels import ROWS
from vsa.errors import ShapeError, VSAError

CANDIDATES = 8


class AttributeKey(NamedTuple):
    """One attribute of one component; the name is for people, learners see attributes anonymously."""

    component: int
    name: str

    def __str__(self) -> str:
        return f"{self.component}|{self.name}"


@dataclass(frozen=True)
class Scene:
    """PMFs of the shown panels of B puzzles.

    The last three rows of a matrix with ``columns`` columns are shown: P = 3 * columns - 1 context panels row by row,
    then 8 candidates. An attribute that a layout does not have is an absent key.

    Attributes:
        columns: n, panels in a row.
        pmfs: attribute -> (B, P + 8, V); index v is the magnitude v that arithmetic rules add (a count, a
            Size level + 1). The mass that a PMF lacks to one is the probability that the panel has no single
            value because its entities differ ("inconsistent").
        sets: attribute -> (B, P + 8, S); probability that each of S slots is occupied. Positions are kept
            as sets: a table over the 2**S - 1 sets is never formed.
        entities: attribute -> (B, P + 8, S, V); for components with several slots, the PMF of each slot's entity,
            given that there is one (an empty slot's row says nothing). Only where a learner asks for it
            (``Learner.entities``).
    """

    columns: int
    pmfs: Mapping[AttributeKey, Tensor] = field(default_factory=dict)
    sets: Mapping[AttributeKey, Tensor] = field(default_factory=dict)
    entities: Mapping[AttributeKey, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.columns < 3:
            raise VSAError("Scene", received=f"{self.columns} columns", expected="at least 3")
        if not self.pmfs and not self.sets:
            raise VSAError("Scene", received="no attribute at all", expected="at least one PMF or slot set")
        batch = None
        for axes, part in ((3, self.pmfs), (3, self.sets), (4, self.entities)):
            for key, value in part.items():
                if value.ndim != axes or value.shape[1] != self.panels:
                    letters = "(B, {}, V)" if axes == 3 else "(B, {}, S, V)"
                    raise ShapeError(
                        f"Scene attribute {key}",
                        received=f"shape {tuple(value.shape)}",
                        expected=f"{letters.format(self.panels)} for {ROWS} x {self.columns} matrices",
                    )
        for key, value in (*self.pmfs.items(), *self.sets.items(), *self.entities.items()):
            if batch is not None and value.shape[0] != batch:
                raise ShapeError(
                    f"Scene attribute {key}",
                    received=f"{value.shape[0]} puzzles",
                    expected=f"{batch} as in the other attributes",
                )
            batch = value.shape[0]

    @property
    def context_panels(self) -> int:
        return ROWS * self.columns - 1

    @property
    def panels(self) -> int:
        return self.context_panels + CANDIDATES

    @property
    def keys(self) -> tuple[AttributeKey, ...]:
        return (*self.pmfs, *self.sets)

    @property
    def device(self) -> torch.device:
        return next(iter((*self.pmfs.values(), *self.sets.values()))).device

    def __len__(self) -> int:
        return next(iter((*self.pmfs.values(), *self.sets.values()))).shape[0]

    def __getitem__(self, puzzles: slice | Tensor) -> Scene:
        """The same scene for some of the puzzles."""
        return self._each(lambda value: value[puzzles])

    def to(self, device: torch.device | str) -> Scene:
        """A copy whose tensors live on ``device``."""
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Scene:
        parts = [{key: change(value) for key, value in part.items()} for part in (self.pmfs, self.sets, self.entities)]
        return Scene(self.columns, *parts)
