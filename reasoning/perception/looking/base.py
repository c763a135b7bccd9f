"""What the front-ends that look at pixels share: pixels and the slots of a layout go in, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from datasets.arrays import CANDIDATES
from datasets.constellations import CONSTELLATIONS
from datasets.layout import Layout
from reasoning.perception.base import Perception
from reasoning.perception.looking.glimpses import SIDE, blank, check_images, cut, slots_of
from reasoning.perception.looking.networks import LayoutNet
from reasoning.perception.looking.reading import Joint, Labels, Marginals
from reasoning.scene import Scene
from vsa.errors import SettingsError

if TYPE_CHECKING:
    from datasets.loaders import PuzzleBatch

__all__ = ["Glimpses", "Looking", "Panels", "glimpses_of"]

log = logging.getLogger(__name__)
AUTO = "auto"
_PANELS = 2 * CANDIDATES  # of a puzzle
_LAYOUTS = tuple(CONSTELLATIONS)
_SLOTS = 1024  # of the panels that a step of training looks at
_SHOWN = 4  # panels of a puzzle by which the layout is learned


@dataclass(frozen=True)
class Panels:
    """N panels of one layout.

    Attributes:
        images: uint8 (N, 160, 160), 255 is white.
        constellation: published name.
    """

    images: Tensor
    constellation: str


@dataclass(frozen=True)
class Glimpses:
    """The glimpses of all slots of some panels; empty ones, white all over, are one and the same.

    Attributes:
        pixels: float32 (N, 1, 40, 40), ink, the white one first.
        frames: (N,), whether another component lies within the slot, as 0 and 1.
        places: for each entry int64 (N, S), which glimpse each slot shows.
    """

    pixels: Tensor
    frames: Tensor
    places: tuple[Tensor, ...]


def glimpses_of(panels: Sequence[Panels]) -> Glimpses:
    """Cut all slots out of panels.

    Args:
        panels: of one layout or of several.

    Returns:
        The glimpses.
    """
    device = panels[0].images.device
    kept, frames, places = [torch.zeros((1, 1, SIDE, SIDE), device=device)], [torch.zeros(1, device=device)], []
    count = 1
    for part in panels:
        images, slots = part.images, slots_of(part.constellation)
        place = torch.zeros((len(images), len(slots)), dtype=torch.int64, device=device)
        for number, slot in enumerate(slots):
            there = (~blank(images, slot)).nonzero().squeeze(1)
            kept.append(cut(images[there], slot))
            frames.append(torch.full((len(there),), float(slot.frames), device=device))
            place[there, number] = torch.arange(count, count + len(there), device=device)
            count += len(there)
        places.append(place)
    return Glimpses(torch.cat(kept), torch.cat(frames), tuple(places))


class Looking(Perception):
    """A front-end that sees pixels and is told, or finds out, the layout of the panels.

    Subclasses implement :meth:`read`.

    Args:
        layout: "auto": it is recognised from the pixels of each puzzle, and nothing is seen of a puzzle whose layout is
            mistaken; otherwise it is the puzzles' own.
    """

    looks = True
    free_options = frozenset({"layout", "seed"})

    def __init__(self, layout: Layout | str | None) -> None:
        super().__init__()
        if isinstance(layout, str) and layout != AUTO:
            raise SettingsError("perception.layout", received=repr(layout), expected=f"{AUTO}, or null: as it is known")
        self.recognises = layout == AUTO
        self.layouts = LayoutNet(len(_LAYOUTS))

    def read(self, panels: Sequence[Panels]) -> Sequence[Marginals | Joint]:
        """What is in the slots of panels.

        Args:
            panels: of one layout or of several, which go through the network together.

        Returns:
            What is seen of each entry.
        """
        raise NotImplementedError

    def forward(
        self,
        batch: PuzzleBatch,
        *,
        mixed: str = "shares",
        entities: bool = False,
        generator: torch.Generator | None = None,
    ) -> Scene:
        return self.look(batch.images(), batch.arrays.constellation, mixed)

    def look(self, images: Tensor, constellation: str, mixed: str = "shares") -> Scene:
        """The scene of puzzles in pixels.

        Args:
            images: uint8 (B, P, 160, 160): eight panels of the context row by row, eight candidates; 255 is white.
            constellation: published name.
            mixed: what a panel shows whose entities differ.

        Returns:
            The scene.
        """
        check_images(type(self).__name__, images)
        seen = self.read([Panels(images.flatten(0, 1), constellation)])[0].marginals()
        if self.recognises:
            known = self.recognise(images).argmax(-1) == _LAYOUTS.index(constellation)
            if not bool(known.all()):
                log.info("the layout of %d of %d puzzles is mistaken", int((~known).sum()), len(known))
                seen = _veiled(seen, known.repeat_interleave(images.shape[1]))
        return seen.scene(mixed)

    def recognise(self, images: Tensor) -> Tensor:
        """How likely each layout is, from pixels alone.

        Args:
            images: uint8 (B, P, 160, 160), 255 is white; any number of panels.

        Returns:
            (B, N), log-probabilities in the order of ``datasets.CONSTELLATIONS``.
        """
        check_images(type(self).__name__, images)
        small = functional.avg_pool2d(images.flatten(0, 1).unsqueeze(1).float(), images.shape[-1] // SIDE).squeeze(1)
        return self.layouts(1 - small.unflatten(0, images.shape[:2]) / 255)

    def knows_layout(self, batch: PuzzleBatch) -> Tensor:
        found = self.recognise(batch.images()).argmax(-1)
        return found == _LAYOUTS.index(batch.arrays.constellation)

    def label_loss(self, batches: Sequence[PuzzleBatch], generator: torch.Generator | None = None) -> Tensor:
        panels, labels, layouts = [], [], []
        for batch in batches:
            images, which = batch.images(), batch.arrays.constellation
            known = Labels.of(batch.arrays).to(images.device)
            some = max(_PANELS, _SLOTS // len(batches) // known.occupied.shape[1])
            chosen = torch.randperm(len(known.occupied), generator=generator)[:some].to(images.device)
            panels.append(Panels(images.flatten(0, 1)[chosen], which))
            labels.append(known[chosen])
            shown = torch.randperm(images.shape[1], generator=generator)[:_SHOWN].to(images.device)
            layouts.append(-self.recognise(images[:, shown])[:, _LAYOUTS.index(which)].mean())
        lost = [seen.loss(known) for seen, known in zip(self.read(panels), labels, strict=True)]
        return torch.stack(lost).mean() + torch.stack(layouts).mean()


def _veiled(seen: Marginals, known: Tensor) -> Marginals:
    """The same, but nothing is seen of the panels that are not known."""
    dark = Marginals.of(
        seen.constellation,
        torch.zeros_like(seen.occupied),
        {name: torch.zeros_like(logs) for name, logs in seen.values.items()},
    )
    return Marginals(
        seen.constellation,
        torch.where(known.unsqueeze(1), seen.occupied, dark.occupied),
        {name: torch.where(known[:, None, None], logs, dark.values[name]) for name, logs in seen.values.items()},
    )
