"""An answer to a puzzle in pictures, its reasons, and what is doubtful about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.attributes import ATTRIBUTES, ENTITY_ATTRIBUTES
from datasets.scans.likeness import likeness
from datasets.scans.pictured import PicturedPuzzle
from reasoning.outcome.digits import two_digits
from reasoning.outcome.expectation import number, people
from reasoning.outcome.explanation import AttributeExplanation, Explanation
from reasoning.scene import CANDIDATES, AttributeKey, Scene
from reasoning.sparse import dense
from reasoning.tables.tables import short_name
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from reasoning.solver import Solver

__all__ = ["Solution", "solve"]

_RECOGNISED = 0.9  # probability of the layout below which it is doubtful
_ALIKE = 0.75  # of its ink: below, a panel is not as it was read
_NO_PUZZLE = 0.5  # of the ink of half of the panels: below, nothing was read
_ORDERS = {  # other orders in which people give sixteen pictures
    "the candidates come first": [*range(CANDIDATES, 2 * CANDIDATES), *range(CANDIDATES)],
    "the context goes column by column": [0, 3, 6, 1, 4, 7, 2, 5, *range(CANDIDATES, 2 * CANDIDATES)],
}


@dataclass(frozen=True)
class Solution:
    """What came out for one puzzle in pictures.

    Attributes:
        puzzle: the pixels, and the layout.
        explanation: the answer and its reasons.
        notes: what was changed to read the pictures, and what is doubtful, in sentences.
        alike: (16,), how much each panel looks like what was read from it, from 0 to 1.
    """

    puzzle: PicturedPuzzle
    explanation: Explanation
    notes: tuple[str, ...]
    alike: tuple[float, ...]

    @property
    def answer(self) -> int:
        """The chosen candidate, 0 to 7."""
        return self.explanation.answer

    @property
    def probabilities(self) -> tuple[float, ...] | None:
        """Of each candidate, that it is right; a layout that is mistaken leaves all equally likely.

        None where the learner does not say how certain it is.
        """
        if self.explanation.probabilities is None:
            return None
        known = self.puzzle.probability
        return tuple(known * share + (1 - known) / CANDIDATES for share in self.explanation.probabilities)

    @property
    def confidence(self) -> float | None:
        """The probability that the answer is right; None where the learner does not say how certain it is."""
        return None if self.probabilities is None else self.probabilities[self.answer]

    @property
    def layout(self) -> str:
        """The short name of the layout."""
        return short_name(self.puzzle.constellation)

    def rules(self) -> list[tuple[AttributeExplanation, str]]:
        """What governs the attributes, in words; of Number and Position the one that does."""
        return [(entry, entry.says()) for entry in self.explanation.attributes if entry.governed]

    def wrong_because(self, candidate: int) -> list[str]:
        """Where a candidate is not as expected.

        Args:
            candidate: 0 to 7.
        """
        several = len(self.puzzle.layouts) > 1
        return [fault.words(several) for fault in self.explanation.faults[candidate]]

    def as_dict(self) -> dict[str, Any]:
        """For JSON: nested dicts, lists, text and finite numbers; candidates count from 0."""
        shares = self.probabilities or (None,) * CANDIDATES
        return {
            "name": self.puzzle.name,
            "answer": self.answer,
            "confidence": number(self.confidence),
            "layout": {"name": self.layout, "probability": number(self.puzzle.probability)},
            "rules": [
                {
                    "component": entry.component,
                    "attribute": entry.attribute,
                    "rule": words,
                    "confidence": number(entry.claimed) or 0.0,
                }
                for entry, words in self.rules()
            ],
            "candidates": [
                {
                    "score": number(self.explanation.scores[k]),
                    "probability": number(shares[k]),
                    "wrong_because": [] if k == self.answer else self.wrong_because(k),
                }
                for k in range(CANDIDATES)
            ],
            "notes": list(self.notes),
        }

    @property
    def verdict(self) -> str:
        """The answer in words."""
        tied = " and ".join(f"candidate {people(k)}" for k in self.explanation.tied)
        tie = f", which ties with {tied}" if tied else ""
        sure = "" if self.confidence is None else f" (confidence {two_digits(self.confidence)})"
        return f"answer: candidate {people(self.answer)}{sure}{tie}"

    def __str__(self) -> str:
        layout = f"layout: {self.layout} ({two_digits(self.puzzle.probability)})"
        notes = ["", *(f"note: {note}" for note in self.notes)] if self.notes else []
        return "\n".join([self.puzzle.name, self.verdict, layout, self.explanation.reasons(), *notes])

    def __repr__(self) -> str:
        return str(self)

    def _repr_png_(self) -> bytes | None:
        from reasoning.solving.picture import picture
        from vsa.errors import VSAError

        try:
            return picture(self, "png")
        except VSAError:
            return None


@torch.no_grad()
def solve(
    solver: Solver,
    images: NDArray[np.uint8],
    layout: str | None = None,
    name: str = "pictures",
    notes: Sequence[str] = (),
) -> Solution:
    """The answer to one puzzle in pictures.

    Args:
        solver: its front-end looks at pixels.
        images: uint8 (16, 160, 160), 255 is white.
        layout: published name; None: it is recognised.
        name: where it comes from.
        notes: what is known of it.

    Returns:
        The solution.

    Raises:
        SettingsError: the pictures are no puzzle, or the front-end does not look at pixels.
    """
    puzzle = solver.recognise(images, name) if layout is None else PicturedPuzzle(images, layout, name)
    scene = solver.look(images[None], puzzle.constellation)
    alike = likeness(images, puzzle.constellation, _levels(scene, puzzle))
    if np.median(alike) < _NO_PUZZLE:
        raise SettingsError(
            f"solve {name}",
            received=f"pictures that do not look like any layout of RAVEN; likest {short_name(puzzle.constellation)}",
            expected="panels of a puzzle as RAVEN draws them",
            hint="layout=NAME says which layout it is" if layout is None else "leave out layout=: it is recognised",
        )
    explanation = solver.explain_images(puzzle, scene)
    doubts = [*notes, *_doubts(puzzle, alike), *_order(solver, puzzle, explanation)]
    return Solution(puzzle, explanation, tuple(doubts), tuple(alike.tolist()))


def _levels(scene: Scene, puzzle: PicturedPuzzle) -> list[tuple[NDArray[np.bool_], dict[str, NDArray[Any]]]]:
    """What is likeliest in each slot."""
    found = []
    for c, component in enumerate(puzzle.layouts):
        exists = np.ones((scene.panels, component.slots), dtype=bool)
        place = AttributeKey(c, "Position")
        if place in scene.sets:
            occupied = scene.sets[place][0].cpu().numpy()
            exists = (occupied > 0.5) | (occupied == occupied.max(-1, keepdims=True)) & (occupied.max(-1) < 0.5)[
                :, None
            ]
        levels = {}
        for attribute in ENTITY_ATTRIBUTES:
            key = AttributeKey(c, attribute.name)
            pmf = scene.entities[key][0] if key in scene.entities else dense(scene.pmfs[key])[0].unsqueeze(1)
            level = pmf.argmax(-1).cpu().numpy() - ATTRIBUTES[attribute.name].offset
            levels[attribute.name] = np.broadcast_to(level, exists.shape)
        found.append((exists, levels))
    return found


def _doubts(puzzle: PicturedPuzzle, alike: NDArray[np.float64]) -> list[str]:
    """What is doubtful about how the pictures were read."""
    found = []
    if puzzle.probability < _RECOGNISED:
        known = f"{short_name(puzzle.constellation)} with {two_digits(puzzle.probability)}"
        found.append(f"the layout is uncertain, {known}; layout=NAME says which it is")
    unlike = [k for k, share in enumerate(alike) if share < _ALIKE]
    if unlike:
        panels = [f"panel {people(k)}" for k in unlike if k < CANDIDATES]
        panels += [f"candidate {people(k - CANDIDATES)}" for k in unlike if k >= CANDIDATES]
        shown = ", ".join(panels[:4]) + (f" and {len(panels) - 4} more" if len(panels) > 4 else "")
        found.append(f"do not trust the answer: {shown} cannot be read with certainty")
    return found


def _order(solver: Solver, puzzle: PicturedPuzzle, explanation: Explanation) -> list[str]:
    """Whether rules explain the rows; where not, whether they would in another order of the pictures."""
    unknown = _unexplained(explanation)
    if not unknown:
        return []
    sentence = f"no rule explains {', '.join(unknown)}: is the order of the pictures right"
    for words, order in _ORDERS.items():
        other = PicturedPuzzle(puzzle.images[order], puzzle.constellation)
        if not _unexplained(solver.explain_images(other)):
            return [f"{sentence}? Rules explain everything if {words}"]
    return [f"{sentence}?"]


def _unexplained(explanation: Explanation) -> list[str]:
    """Attributes of which no rule is likely."""
    several = len(explanation.named) > 1
    return [
        f"{entry.component} {entry.attribute}" if several else entry.attribute
        for entry in explanation.attributes
        if entry.governed and (entry.claimed or 0.0) <= 0.5
    ]
