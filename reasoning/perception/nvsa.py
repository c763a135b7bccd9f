"""NVSA's front-end: a query vector for what is seen, compared with the product vectors of all that may be there.

Reference: Hersche et al., "A neuro-vector-symbolic architecture for solving Raven's progressive matrices", Nature
Machine Intelligence 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

import vsa
from datasets.constellations import CONSTELLATIONS
from datasets.layout import Layout
from reasoning.perception import PERCEPTIONS
from reasoning.perception.looking.base import Looking, Panels, glimpses_of
from reasoning.perception.looking.glimpses import ink
from reasoning.perception.looking.networks import FEATURES, GlimpseNet, PanelNet
from reasoning.perception.looking.reading import VALUES, Joint
from reasoning.perception.looking.resnet import ResNet18
from vsa import Algebra, Backend, Codebook, StoredMatrix
from vsa.errors import UnknownNameError
from vsa.seeding import child_seed

__all__ = ["BODIES", "NVSAFrontEnd"]

BODIES = ("glimpses", "superposed", "panel", "resnet18")
_SLOTS = {name: sum(component.slots for component in one.components) for name, one in CONSTELLATIONS.items()}
_LAST = dict(zip(_SLOTS, accumulate(_SLOTS.values()), strict=True))  # of the positions of a constellation


@PERCEPTIONS.register("nvsa")
class NVSAFrontEnd(Looking):
    """Queries and a product codebook: Type x Size x Color, and "empty"; positions are bound to them.

    The cosines of a query with all product vectors, times a trained scale, go through a softmax: the joint PMF of what
    is in a slot. Where one vector stands for a panel, it is a superposition over slots of position times product.

    Args:
        layout: "auto": the layout is recognised from the pixels; otherwise the puzzles' own.
        body: "glimpses": a query for each slot; "superposed": the same, all slots of a panel superposed into one
            vector; "panel": a small network of the whole panel makes that vector; "resnet18": the published one does.
        dim: D; None: 512 for a query of one slot (as published), 1024 for one of a panel.
        width: channels of the first convolution of the small networks.
        scale: of cosines in the softmax, before training.
        backend: where the product codebook is stored. Default: digital, exact.
        seed: of the atoms.
    """

    def __init__(
        self,
        *,
        layout: Layout | str | None = None,
        body: str = "glimpses",
        dim: int | None = None,
        width: int = 16,
        scale: float = 20.0,
        backend: Backend | None = None,
        seed: int = 0,
    ) -> None:
        if body not in BODIES:
            raise UnknownNameError("perception.body", name=body, known=BODIES, kind="body")
        super().__init__(layout)
        self.body = body
        self.dim = dim or (512 if body == "glimpses" else 1024)
        self.network: nn.Module
        if body == "resnet18":
            self.network = ResNet18(self.dim)
        elif body == "panel":
            self.network = PanelNet(self.dim, width)
        else:
            self.network = GlimpseNet(width)
            deep = nn.Sequential(nn.Linear(FEATURES, self.dim), nn.ReLU(), nn.Linear(self.dim, self.dim))
            self.query = deep if body == "superposed" else nn.Linear(FEATURES, self.dim)
        self.log_scale = nn.Parameter(torch.tensor(float(scale)).log())
        algebra = vsa.get("map", dim=self.dim)
        self.products = Codebook(algebra, _products(algebra, seed), backend=backend, seed=seed)
        self.register_buffer("positions", _positions(algebra, seed))

    positions: Tensor

    def read(self, panels: Sequence[Panels]) -> list[Joint]:
        if self.body in ("panel", "resnet18"):
            vectors = self.network(ink(torch.cat([part.images for part in panels])))
            wholes = vectors.split([len(part.images) for part in panels])
        else:
            glimpses = glimpses_of(panels)
            queries = self.query(self.network(glimpses.pixels, glimpses.frames))
            if self.body == "glimpses":
                scores = self._scores(queries)
                each = zip(panels, glimpses.places, strict=True)
                return [Joint.of(part.constellation, scores[places]) for part, places in each]
            wholes = tuple(
                self.superposed(queries[places], part.constellation)
                for part, places in zip(panels, glimpses.places, strict=True)
            )
        return [
            Joint.of(part.constellation, self._scores(self.unbound(whole, part.constellation)))
            for part, whole in zip(panels, wholes, strict=True)
        ]

    def superposed(self, queries: Tensor, constellation: str) -> Tensor:
        """One vector for all slots of a panel.

        Args:
            queries: (N, S, D), one for each slot.
            constellation: published name.

        Returns:
            (N, D).
        """
        algebra = self.products.algebra
        return algebra.bind(queries, self._places(constellation)).sum(-2)

    def unbound(self, whole: Tensor, constellation: str) -> Tensor:
        """The query of each slot, taken out of a panel's vector.

        Args:
            whole: (N, D).
            constellation: published name.

        Returns:
            (N, S, D).
        """
        return self.products.algebra.unbind(whole.unsqueeze(-2), self._places(constellation))

    def stored(self) -> dict[str, list[StoredMatrix]]:
        """The array of the product codebook."""
        return {"queries to PMFs": [self.products.stored]}

    def _scores(self, queries: Tensor) -> Tensor:
        return self.log_scale.exp() * self.products.cosine(queries)

    def _places(self, constellation: str) -> Tensor:
        last = _LAST[constellation]
        return self.positions[last - _SLOTS[constellation] : last].to(self.log_scale.dtype)


def _products(algebra: Algebra, seed: int) -> Tensor:
    """(N, D): "empty", then Type x Size x Color in mixed radix."""
    made = torch.Generator().manual_seed(child_seed(seed, "products"))
    empty = algebra.random(1, generator=made, dtype=torch.float32)
    products = torch.ones(1, algebra.dim)
    for width in VALUES.values():
        atoms = algebra.random(width, generator=made, dtype=torch.float32)
        products = algebra.bind(products.unsqueeze(1), atoms).flatten(0, 1)
    return torch.cat((empty, products))


def _positions(algebra: Algebra, seed: int) -> Tensor:
    """int8 (S, D), an atom for every slot of every constellation."""
    made = torch.Generator().manual_seed(child_seed(seed, "positions"))
    return algebra.random(sum(_SLOTS.values()), generator=made, dtype=torch.float32).to(torch.int8)
