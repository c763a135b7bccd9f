"""The global generator of torch, seeded for a while: what a part draws without a generator of its own is repeatable.

``nn.Linear`` draws its initial weights from it and ``nn.Dropout`` its masks. It is put back afterwards. Arrays that are
programmed without a seed have those of the run, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vsa.backends import array_seeds

__all__ = ["seeded"]


@contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Seed the global generator, and restore it at the end.

    Args:
        seed: of what is drawn inside, from ``vsa.seeding.child_seed``.
        device: where else it is drawn, beside the CPU.
    """
    place = torch.device(device)
    cards = []
    if place.type == "cuda":
        cards = [torch.cuda.current_device() if place.index is None else place.index]
    with torch.random.fork_rng(devices=cards), array_seeds(seed):
        # Not torch.manual_seed, which seeds every card, also those that are not put back.
        torch.default_generator.manual_seed(seed)
        for card in cards:
            with torch.cuda.device(card):
                torch.cuda.manual_seed(seed)
        yield
