"""What a front-end reads from the slots of panels, as log-probabilities: compared with labels, or made into a Scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from datasets.arrays import CANDIDATES, PuzzleArrays
from datasets.attributes import ENTITY_ATTRIBUTES
from datasets.constellations import CONSTELLATIONS
from datasets.panels import shown_panels
from reasoning.scene import AttributeKey, Scene
from vsa.errors import ShapeError

__all__ = ["PRODUCTS", "VALUES", "Joint", "Labels", "Marginals", "possible"]

VALUES = {attribute.name: attribute.high - attribute.low + 1 for attribute in ENTITY_ATTRIBUTES}  # 5, 6, 10
PRODUCTS = int(np.prod(list(VALUES.values())))  # kinds of entities
_NEVER = -torch.inf


@cache
def possible(constellation: str) -> dict[str, Tensor]:
    """Which values the entities of each slot may have.

    Args:
        constellation: published name.

    Returns:
        attribute -> bool (S, V), slots component by component.
    """
    found = {}
    for attribute in ENTITY_ATTRIBUTES:
        rows = []
        for component in CONSTELLATIONS[constellation].components:
            low, high = component.range(attribute.name)
            levels = torch.arange(attribute.low, attribute.high + 1)
            rows += [(levels >= low) & (levels <= high)] * component.slots
        found[attribute.name] = torch.stack(rows)
    return found


@dataclass(frozen=True)
class Labels:
    """What is in the slots of N panels.

    Attributes:
        occupied: bool (N, S), slots component by component.
        values: attribute -> int64 (N, S), counted from the smallest in use; of empty slots 0.
    """

    occupied: Tensor
    values: Mapping[str, Tensor]

    @classmethod
    def of(cls, arrays: PuzzleArrays) -> Labels:
        """The labels of all panels that a solver is shown, puzzle by puzzle.

        Args:
            arrays: the puzzles.
        """
        panels = shown_panels(arrays.columns)
        exists = np.concatenate([part.exists[:, panels] for part in arrays.components], -1)
        occupied = torch.from_numpy(exists.astype(bool)).flatten(0, 1)
        values = {}
        for attribute in ENTITY_ATTRIBUTES:
            levels = np.concatenate([part.attributes[attribute.name][:, panels] for part in arrays.components], -1)
            level = torch.from_numpy(levels.astype(np.int64)).flatten(0, 1) - attribute.low
            values[attribute.name] = level.masked_fill(~occupied, 0)
        return cls(occupied, values)

    def __getitem__(self, panels: Tensor) -> Labels:
        return Labels(self.occupied[panels], {name: level[panels] for name, level in self.values.items()})

    def to(self, device: torch.device) -> Labels:
        """The same labels on another device."""
        return Labels(self.occupied.to(device), {name: level.to(device) for name, level in self.values.items()})


@dataclass(frozen=True)
class Marginals:
    """What is seen of the slots of N panels, each attribute by itself.

    Attributes:
        constellation: published name.
        occupied: (N, S), log-odds that something is in the slot.
        values: attribute -> (N, S, V), log-probabilities of what is there, if something is.
    """

    constellation: str
    occupied: Tensor
    values: Mapping[str, Tensor]

    @classmethod
    def of(cls, constellation: str, occupied: Tensor, scores: Mapping[str, Tensor]) -> Marginals:
        """From logits; values that a component never has get none of the mass.

        Args:
            constellation: published name.
            occupied: (N, S), log-odds.
            scores: attribute -> (N, S, V).
        """
        may = possible(constellation)
        logs = {
            name: score.masked_fill(~may[name].to(score.device), _NEVER).log_softmax(-1)
            for name, score in scores.items()
        }
        return cls(constellation, occupied, logs)

    def marginals(self) -> Marginals:
        """The very same."""
        return self

    def loss(self, labels: Labels) -> Tensor:
        """Mean negative log-likelihood of a slot's labels.

        Args:
            labels: of the N panels.

        Returns:
            A scalar.
        """
        lost = functional.binary_cross_entropy_with_logits(
            self.occupied, labels.occupied.to(self.occupied.dtype), reduction="none"
        )
        for name, logs in self.values.items():
            found = logs.gather(-1, labels.values[name].unsqueeze(-1)).squeeze(-1)
            lost = lost - found.masked_fill(~labels.occupied, 0.0)
        return lost.mean()

    def scene(self, mixed: str) -> Scene:
        """The scene of the puzzles whose panels these are.

        Args:
            mixed: what a panel shows whose entities differ.

        Returns:
            The scene of N / 16 puzzles.

        Raises:
            ShapeError: panels of no whole number of puzzles.
        """
        panels = 2 * CANDIDATES
        if len(self.occupied) % panels:
            raise ShapeError("scene of panels", received=f"{len(self.occupied)} panels", expected=f"{panels} a puzzle")
        pmfs: dict[AttributeKey, Tensor] = {}
        start = 0
        for number, component in enumerate(CONSTELLATIONS[self.constellation].components):
            here = slice(start, start + component.slots)
            start += component.slots
            for name, logs in self.values.items():
                pmf = logs[:, here].exp().unflatten(0, (-1, panels))
                pmfs[AttributeKey(number, name)] = pmf if component.slots > 1 else pmf.squeeze(2)
            if component.slots > 1:
                pmfs[AttributeKey(number, "Position")] = self.occupied[:, here].sigmoid().unflatten(0, (-1, panels))
        return Scene.from_pmfs(pmfs, self.constellation, mixed=mixed)


@dataclass(frozen=True)
class Joint:
    """What is seen of the slots of N panels, all attributes together.

    Attributes:
        constellation: published name.
        logs: (N, S, V), log-probabilities of "empty" and of each kind of entity: Type, Size and Color in mixed radix.
    """

    constellation: str
    logs: Tensor

    @classmethod
    def of(cls, constellation: str, scores: Tensor) -> Joint:
        """From logits; entities that a component never has get none of the mass.

        Args:
            constellation: published name.
            scores: (N, S, V), of "empty" and of each kind of entity.
        """
        type_, size, color = (possible(constellation)[name] for name in VALUES)
        may = (type_[:, :, None, None] & size[:, None, :, None] & color[:, None, None, :]).flatten(1)
        may = torch.cat((may.new_ones(len(may), 1), may), 1).to(scores.device)
        return cls(constellation, scores.masked_fill(~may, _NEVER).log_softmax(-1))

    def loss(self, labels: Labels) -> Tensor:
        """Mean negative log-likelihood of what is in a slot.

        Args:
            labels: of the N panels.

        Returns:
            A scalar.
        """
        code = torch.zeros_like(labels.occupied, dtype=torch.int64)
        for name, width in VALUES.items():
            code = code * width + labels.values[name]
        code = torch.where(labels.occupied, code + 1, 0)
        return -self.logs.gather(-1, code.unsqueeze(-1)).mean()

    def marginals(self) -> Marginals:
        """Each attribute by itself, given that something is there."""
        kinds = self.logs[..., 1:]
        there = kinds.logsumexp(-1)
        shaped = kinds.unflatten(-1, tuple(VALUES.values()))
        values = {}
        for axis, name in enumerate(VALUES):
            others = tuple(k - len(VALUES) for k in range(len(VALUES)) if k != axis)
            values[name] = shaped.logsumexp(others) - there.unsqueeze(-1)
        return Marginals(self.constellation, there - self.logs[..., 0], values)
