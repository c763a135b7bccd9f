"""One matrix on devices: weights to conductances, programmed once, ageing, saved and restored."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...errors import VSAError
from ...seeding import child_seed
from ..places import worker_seed
from .conductance import scales, slice_shares, slice_weights, targets, wire_share
from .state import belonging, written

if TYPE_CHECKING:
    from .backend import Crossbar

__all__ = ["Programmed"]

_REFERENCE_SECONDS = 1.0


class Programmed:
    """G stacked matrices with I inputs and O outputs each.

    Args:
        weights: (G, I, O) float.
        block: length of a block of inputs; None: there are no blocks.
        settings: device, mapping, tiles, converters.
        generator: of programming and reads, the array's own.
    """

    def __init__(self, weights: Tensor, block: int | None, settings: Crossbar, generator: torch.Generator) -> None:
        self.settings, self.generator = settings, generator
        self.groups, self.inputs, self.outputs = weights.shape
        block = block or self.inputs
        self.blocks = self.inputs // block
        self.parts = math.ceil(block / (settings.tile_rows or block))  # tiles of a block
        self.rows = math.ceil(block / self.parts)
        self._block = block
        tiled = self._tiled(weights.unsqueeze(1)).squeeze(1).transpose(-1, -2)  # (G, T, e, O)
        real = self._tiled(torch.ones_like(weights[:1, :, :1].unsqueeze(1))).squeeze(1).transpose(-1, -2)
        self._real = real > 0  # (1, T, e, 1): where there is a device
        self.scales = scales(tiled, settings.scaling)
        normalised = slice_weights(
            tiled / (self.scales.tile * self.scales.column), settings.slices, settings.slice_bits
        )
        self.shares = slice_shares(settings.slices, settings.slice_bits)
        self.target_us = targets(normalised, settings.mapping, settings.cell)  # (polarities, slices, G, T, e, O)
        self.t_seconds = settings.age_seconds
        self.pulses = 0
        self.reads = 0  # vectors
        self.repeats = 0.0  # reads beyond the range, in reads of the whole array: what they cost in energy
        self.rounds = 0  # the same, where tiles work at the same time: what they cost in time
        self._worker = worker_seed()  # of the worker of a DataLoader that it was made in
        self.ranges: Tensor | None = None  # of inputs and outputs, once calibrated
        self.state: dict[str, Tensor] = {}
        self.program()

    def _tiled(self, x: Tensor) -> Tensor:
        """(G, B, I, ...) -> (G, B, T, ..., e) with I cut into tiles, zeros where a tile is longer than its part."""
        moved = x.movedim(2, -1).unflatten(-1, (self.blocks, self._block))
        padded = torch.nn.functional.pad(moved, (0, self.parts * self.rows - self._block))
        return padded.unflatten(-1, (self.parts, self.rows)).flatten(-3, -2).movedim(-2, 2)

    def _untiled(self, x: Tensor) -> Tensor:
        """(..., T e) -> (..., I): without the padding."""
        kept = x.unflatten(-1, (self.blocks, self.parts * self.rows))[..., : self._block]
        return kept.flatten(-2)

    # ------------------------------------------------------------------ programming and ageing

    def program(self) -> None:
        """Write all devices anew; time starts again."""
        s = self.settings
        generator = self._own()
        state = s.cell.program(self.target_us, generator)
        for _ in range(s.verify_rounds):
            seen = state["g_us"]
            std = s.cell.read_std(state, seen, s.age_seconds)
            if std is not None:
                seen = seen + std * self._normal(seen)
            wrong = (seen - self.target_us).abs() > s.verify_tolerance_us
            again = s.cell.program(self.target_us, generator)
            state = {name: torch.where(wrong, again[name], value) for name, value in state.items()}
            self.pulses += int((wrong & self._real).sum())
        self.pulses += int(self._real.expand_as(self.target_us).sum())
        if s.stuck_share or s.dead_share:
            chance = torch.rand(self.target_us.shape, generator=generator, device=self.target_us.device)
            state["stuck"] = (chance < s.stuck_share).to(torch.int8)
            state["dead"] = ((chance >= s.stuck_share) & (chance < s.stuck_share + s.dead_share)).to(torch.int8)
        for name, width in (("out", self.outputs), ("back", self.inputs)):
            if s.adc_gain_std or s.adc_offset_std:
                shape = (len(self.shares), self.groups, 1, width)
                state[f"gain_{name}"] = 1 + s.adc_gain_std * self._normal(self.target_us.new_empty(shape))
                state[f"offset_{name}"] = s.adc_offset_std * self._normal(self.target_us.new_empty(shape))
        self.state = state
        self.t_seconds = s.age_seconds
        self._reference: Tensor | None = None
        self._refresh()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.t_seconds += seconds
        self._refresh()

    def conductances(self, t_seconds: float | None = None) -> tuple[Tensor, Tensor | None]:
        """Conductances and the standard deviations of a read, (polarities, slices, G, T, e, O) in uS.

        Args:
            t_seconds: when, since programming. Default: now.
        """
        s = self.settings
        t_seconds = self.t_seconds if t_seconds is None else t_seconds
        g_us = s.cell.drift(self.state, t_seconds)
        std = s.cell.read_std(self.state, g_us, t_seconds)
        for name, value in (("stuck", s.cell.g_max_us), ("dead", 0.0)):
            if name in self.state:
                hit = self.state[name].bool()
                g_us = torch.where(hit, torch.full_like(g_us, value), g_us)
                std = None if std is None else torch.where(hit, torch.zeros_like(std), std)
        return g_us, std

    def _seen(self, t_seconds: float) -> tuple[Tensor, Tensor | None]:
        """The same as every read sees them, of data or for compensation: with faults, behind the wires."""
        g_us, std = self.conductances(t_seconds)
        if not self.settings.wire_ohm:
            return g_us, std
        kept = wire_share(g_us * self._real, self.settings.wire_ohm)
        return g_us * kept, None if std is None else std * kept

    def _total(self, g_us: Tensor) -> Tensor:
        """What a compensation read sees: all conductances of a tile, or of a column of it, added up."""
        kept = g_us * self._real
        return (
            kept.sum((0, -1, -2), keepdim=True)
            if self.settings.compensation == "global"
            else kept.sum((0, -2), keepdim=True)
        )

    def _refresh(self) -> None:
        """Normalised matrices and variances as they are now."""
        s = self.settings
        g_us, std = self._seen(self.t_seconds)
        span = s.cell.g_max_us - s.cell.g_min_us
        if s.compensation != "none":
            total = self._total(g_us)
            if self._reference is None:
                # Compared with a read soon after programming, however late the first read of data comes.
                early = min(s.age_seconds, _REFERENCE_SECONDS)
                self._reference = total if early == self.t_seconds else self._total(self._seen(early)[0])
            lost = self._reference / total.clamp_min(1e-12)
            g_us, std = g_us * lost, None if std is None else std * lost  # before an offset is taken off
        if s.mapping == "differential":
            matrix = (g_us[0] - g_us[1]) / span
        else:
            matrix = 2 * (g_us[0] - s.cell.g_min_us) / span - 1
        factor = 1.0 if s.mapping == "differential" else 4.0
        variance = None if std is None else factor * std.square().sum(0) / span**2
        self.matrix = matrix * self._real  # (slices, G, T, e, O)
        self.variance = None if variance is None else variance * self._real / s.averages
        self._whole: tuple[Tensor, Tensor | None, Tensor | None] | None = None
        for what, values in (("conductances", self.matrix), ("read noise", self.variance)):
            if values is not None and not math.isfinite(float(values.sum())):
                raise VSAError(
                    f"array of {s.cell}",
                    received=f"{what} that are not finite after {self.t_seconds:g} s",
                    expected="finite ones",
                    hint="give the device smaller parameters",
                )

    def _own(self) -> torch.Generator:
        """The array's generator. A worker of a DataLoader has a copy of the array: it goes on with noise of its own."""
        worker = worker_seed()
        if worker is not None and worker != self._worker:
            self._worker = worker
            self.generator.manual_seed(child_seed(worker, "array", self.generator.initial_seed()))
        return self.generator

    def _normal(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        chosen = generator or self.generator
        return torch.randn(like.shape, generator=chosen, dtype=like.dtype, device=like.device)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Tensor]:
        """All that continues exactly, and what it belongs to."""
        own = {
            "ranges": self.ranges,
            "time": torch.tensor(self.t_seconds, dtype=torch.float64),
            "counts": torch.tensor([self.pulses, self.reads, self.rounds], dtype=torch.int64),
            "repeats": torch.tensor(self.repeats, dtype=torch.float64),
            "generator": self.generator.get_state(),
            "belongs": written(belonging(self)),
        }
        return {
            **{f"state.{name}": value for name, value in self.state.items()},
            **{name: value for name, value in own.items() if value is not None},
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state that :func:`~vsa.backends.crossbar.state.check` has passed."""
        device = self.target_us.device
        self.state = {name[6:]: value.to(device) for name, value in state.items() if name.startswith("state.")}
        self._reference = None  # read anew, through the wires that are here
        self.t_seconds = float(state["time"])
        self.pulses, self.reads, self.rounds = (int(count) for count in state["counts"])
        self.repeats = float(state["repeats"])
        self.generator.set_state(state["generator"].cpu())
        self.ranges = state["ranges"].to(device) if "ranges" in state else None
        self._refresh()

    def __getstate__(self) -> dict[str, Any]:
        """Generators do not reach spawned processes by themselves: as bytes they do."""
        kept = bytes(self.generator.get_state().numpy())
        return {**self.__dict__, "generator": (str(self.generator.device), kept), "_whole": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        device, kept = state["generator"]
        generator = torch.Generator(device=device)
        generator.set_state(torch.frombuffer(bytearray(kept), dtype=torch.uint8))
        self.__dict__.update(state, generator=generator)
