"""The device state behind a stored matrix, and what its reads cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import VSAError

__all__ = ["Cost", "DeviceHandle"]


@dataclass(frozen=True)
class Cost:
    """What the reads so far have cost on modelled hardware.

    Args:
        energy_joules: energy.
        latency_seconds: time.
        area_mm2: area of the arrays and their periphery.
        reads: vectors read.
        digital_joules: energy of the same reads on a digital processor, for comparison.
    """

    energy_joules: float
    latency_seconds: float
    area_mm2: float
    reads: int
    digital_joules: float = 0.0


class DeviceHandle:
    """The state behind a stored matrix. This one has none: time passes without effect and reads cost nothing."""

    def advance(self, seconds: float) -> None:
        """Let time pass, so that devices drift.

        Args:
            seconds: how long, not negative.
        """
        if not 0 <= seconds < math.inf:
            raise VSAError("advance", received=f"{seconds!r} seconds", expected="a finite time, not negative")

    def cost(self) -> Cost | None:
        """Cost of the reads so far; None where no hardware is modelled."""
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """All that :meth:`load_state_dict` needs to continue exactly."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state.

        Args:
            state: what :meth:`state_dict` returned.
        """
        if state:
            raise VSAError(
                "load_state_dict",
                received=f"entries {', '.join(sorted(state))}",
                expected="no entries: this device has no state",
                hint="load it into the backend that it was saved from",
            )
