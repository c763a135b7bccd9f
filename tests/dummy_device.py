"""A memory device of nobody's: uniform noise at programming, exponential loss, read noise that grows with conductance.

Importing it registers the device ``leaky``; every test that names ``device_name`` then runs for it, too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vsa.backends.crossbar import DEVICES, Device, Moments


@DEVICES.register("leaky")
@dataclass(frozen=True)
class Leaky(Device):
    """Loses its conductance like a capacitor.

    Args:
        spread_us: half the width of the uniform noise at programming, in uS.
        loss_per_year: share of ln g that a year takes.
        read_share: standard deviation of a read, of the conductance.
    """

    g_max_us: float = 30.0
    g_min_us: float = 2.0
    spread_us: float = 0.8
    loss_per_year: float = 0.7
    read_share: float = 0.02
    name: ClassVar[str] = "leaky"

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.check_target(target_us)
        noise = torch.rand(target_us.shape, generator=generator, dtype=target_us.dtype)
        return {"g_us": target_us + self.spread_us * (2 * noise - 1)}

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        return state["g_us"] * math.exp(-self.loss_per_year * t_seconds / 3.15e7)

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        return self.read_share * g_us

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        return Moments(
            target_us,
            self.spread_us / math.sqrt(3),
            -self.loss_per_year * t_seconds / 3.15e7,
            0.0,
            self.read_share * target_us,
        )
