"""The device state behind a stored matrix, and what its reads cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, SupportsFloat, runtime_checkable

import torch
from torch import Tensor

from ..errors import DtypeError, VSAError
from ..validation import LARGEST, describe

__all__ = ["Cost", "DeviceHandle", "MemoryDevice", "Moments"]


@dataclass(frozen=True)
class Moments:
    """What many memory devices of one target do on average, as the source of their model says it.

    Args:
        mean_us: mean conductance right after programming, in uS.
        std_us: standard deviation of that over devices, in uS.
        log_kept_mean: mean of ln(g(t) / g(0)) over the devices that conduct at all; 0 without drift.
        log_kept_std: standard deviation of that over devices.
        read_std_us: standard deviation of one read, at that time, of a device that stands at its target, in uS.
    """

    mean_us: float
    std_us: float
    log_kept_mean: float = 0.0
    log_kept_std: float = 0.0
    read_std_us: float = 0.0


@runtime_checkable
class MemoryDevice(Protocol):
    """A model of a memory device, as :func:`vsa.check_device` holds it to its moments. Conductances are in uS."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    @property
    def g_min_us(self) -> float:
        """The conductance that stands for zero."""
        ...

    @property
    def g_max_us(self) -> float:
        """The conductance that stands for the largest weight."""
        ...

    def program(self, target_us: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Program devices; the state, with the conductances as ``"g_us"``."""
        ...

    def drift(self, state: Mapping[str, Tensor], t_seconds: float) -> Tensor:
        """Conductances at a time after programming."""
        ...

    def read_std(self, state: Mapping[str, Tensor], g_us: Tensor, t_seconds: float) -> Tensor | None:
        """Standard deviation of one read; None for no noise."""
        ...

    def moments(self, target_us: float, t_seconds: float) -> Moments:
        """What is expected of devices with that target at that time."""
        ...


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

    @property
    def t_seconds(self) -> float:
        """Time since programming."""
        return 0.0

    def advance(self, seconds: SupportsFloat) -> None:
        """Let time pass, so that devices drift.

        Args:
            seconds: how long, a number, not negative; numpy's and torch's are numbers, too.

        Raises:
            VSAError: it is none.
        """
        self._pass(_number("advance", "seconds", seconds))

    def _pass(self, seconds: float) -> None:
        if not (seconds >= 0 and self.t_seconds + seconds <= LARGEST):
            expected = f"a finite time, not negative, up to {LARGEST:g} since programming"
            raise VSAError("advance", received=f"{seconds!r} seconds", expected=expected)

    def cost(self) -> Cost | None:
        """Cost of the reads so far; None where no hardware is modelled."""
        return None

    def state_dict(self) -> dict[str, Tensor]:
        """All that :meth:`load_state_dict` needs to continue exactly."""
        return {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state, or nothing of it.

        Args:
            state: what :meth:`state_dict` returned.

        Raises:
            VSAError: it is not the state of such a device.
        """
        self.check_state(state)

    def check_state(self, state: Mapping[str, Tensor]) -> None:
        """Refuse a state that :meth:`load_state_dict` would refuse.

        Args:
            state: the same.
        """
        check_entries(state)
        if state:
            raise VSAError(
                "load_state_dict",
                received=f"entries {', '.join(sorted(state))}",
                expected="no entries: this device has no state",
                hint="load it into the backend that it was saved from",
            )


def check_entries(state: object) -> None:
    """Refuse what is not tensors by name."""
    if not isinstance(state, Mapping):
        raise DtypeError("load_state_dict", received=describe(state), expected="what state_dict returned")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            received = f"an entry {name!r:.40}: {describe(value)}"
            raise DtypeError("load_state_dict", received=received, expected="tensors by name")


def _number(operation: str, field: str, value: SupportsFloat) -> float:
    """A Python number of what is one number in Python, numpy or torch; refuse what is not."""
    if not isinstance(value, bool | str | bytes):
        try:
            return float(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            pass
    shown = describe(value) if not isinstance(value, str | bytes | int) else f"{value!r:.20}"
    raise DtypeError(f"{operation} {field}", received=shown, expected="one finite number")
