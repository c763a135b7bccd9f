"""Resistive memory (HfOx): conductances that relax after programming."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .base import DEVICES, Device, Moments, clipped_moments, normal

__all__ = ["ReRAM"]


@DEVICES.register("reram")
@dataclass(frozen=True)
class ReRAM(Device):
    """Filamentary TaOx / HfOx cells of a 130 nm chip, from 1 to 40 uS, written with incremental pulses and verified.

    Right after a write the conductance lies within the accepted range; then it relaxes. Half an hour later the error is
    normal with a standard deviation of about 2.8 uS (averaged over targets; 2.0 uS with three rounds of programming).
    After that it hardly changes: no drift. The relaxation is drawn at programming and holds from the first read on; its
    course within the first half hour, its dependence on the target (at most 3.9 uS, in the middle of the range) and
    read noise, which the publication does not separate from it, are not modelled. The figures were written down without
    the publication at hand: check them before you rely on them.

    Args:
        relaxation_std_us: standard deviation of the relaxation, in uS.
        read_std_us: standard deviation of a read, in uS; 0 as published.

    Reference:
        Wan et al. 2022, "A compute-in-memory chip based on resistive random-access memory" (Nature).
    """

    g_max_us: float = 40.0
    g_min_us: float = 1.0
    relaxation_std_us: float = 2.8
    read_std_us: float = 0.0
    name: ClassVar[str] = "reram"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_not_negative("relaxation_std_us", "read_std_us")

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        self.check_target(target_us)
        return {"g_us": (target_us + self.relaxation_std_us * normal(target_us, generator)).clamp_min(0)}

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        return state["g_us"]

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        return torch.full_like(g_us, self.read_std_us) if self.read_std_us else None

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        return Moments(*clipped_moments(target_us, self.relaxation_std_us), read_std_us=self.read_std_us)
