"""One matrix on devices: programmed once, ageing, read in tiles through converters.

A tile is a group of inputs whose currents add up on a wire before they are converted; tiles are added digitally.
Blocks of a block code are tiles of their own, cut further where they are longer than a tile may be.

Read noise of independent devices adds up to a normal error at each output whose variance is the squared inputs times
the devices' variances; it is drawn there, which is the same in distribution as drawing every device anew for every read
and costs one more matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .conductance import scales, slice_shares, slice_weights, targets, wire_share
from .periphery import bounded, input_scale, quantize

if TYPE_CHECKING:
    from .backend import Crossbar

__all__ = ["Array"]

_REFERENCE_SECONDS = 1.0
_SAMPLE = 1 << 20  # entries that a calibration looks at


class Array:
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
        self.reads = 0
        self.ranges: Tensor | None = None  # of inputs and outputs, once calibrated
        self.state: dict[str, Tensor] = {}
        self.program()

    def _tiled(self, x: Tensor) -> Tensor:
        """(G, B, I, ...) -> (G, B, T, ..., e) with I cut into tiles, zeros where a tile is longer than its part."""
        moved = x.movedim(2, -1).unflatten(-1, (self.blocks, self._block))
        padded = torch.nn.functional.pad(moved, (0, self.parts * self.rows - self._block))
        return padded.unflatten(-1, (self.parts, self.rows)).flatten(-3, -2).movedim(-2, 2)

    # ------------------------------------------------------------------ programming and ageing

    def program(self) -> None:
        """Write all devices anew; time starts again."""
        s = self.settings
        state = s.cell.program(self.target_us, self.generator)
        for _ in range(s.verify_rounds):
            seen = state["g_us"]
            std = s.cell.read_std(state, seen, s.age_seconds)
            if std is not None:
                seen = seen + std * self._normal(seen)
            wrong = (seen - self.target_us).abs() > s.verify_tolerance_us
            again = s.cell.program(self.target_us, self.generator)
            state = {name: torch.where(wrong, again[name], value) for name, value in state.items()}
            self.pulses += int((wrong & self._real).sum())
        self.pulses += int(self._real.expand_as(self.target_us).sum())
        if s.stuck_share or s.dead_share:
            chance = torch.rand(self.target_us.shape, generator=self.generator, device=self.target_us.device)
            state["stuck"] = (chance < s.stuck_share).to(torch.int8)
            state["dead"] = ((chance >= s.stuck_share) & (chance < s.stuck_share + s.dead_share)).to(torch.int8)
        for name, width in (("out", self.outputs), ("back", self.inputs)):
            if s.adc_gain_std or s.adc_offset_std:
                shape = (len(self.shares), self.groups, 1, width)
                state[f"gain_{name}"] = 1 + s.adc_gain_std * self._normal(self.target_us.new_empty(shape))
                state[f"offset_{name}"] = s.adc_offset_std * self._normal(self.target_us.new_empty(shape))
        self.state = state
        self.t_seconds = s.age_seconds
        # Compensation compares with a read soon after programming, however late the first read of data comes.
        self._reference = self._total(s.cell.drift(state, min(s.age_seconds, _REFERENCE_SECONDS)))
        self._refresh()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.t_seconds += seconds
        self._refresh()

    def conductances(self) -> tuple[Tensor, Tensor | None]:
        """Conductances now and the standard deviations of a read, (polarities, slices, G, T, e, O) in uS."""
        s = self.settings
        g_us = s.cell.drift(self.state, self.t_seconds)
        std = s.cell.read_std(self.state, g_us, self.t_seconds)
        for name, value in (("stuck", s.cell.g_max_us), ("dead", 0.0)):
            if name in self.state:
                hit = self.state[name].bool()
                g_us = torch.where(hit, torch.full_like(g_us, value), g_us)
                std = None if std is None else torch.where(hit, torch.zeros_like(std), std)
        return g_us, std

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
        g_us, std = self.conductances()
        span = s.cell.g_max_us - s.cell.g_min_us
        if s.wire_ohm:
            kept = wire_share(g_us * self._real, s.wire_ohm)
            g_us = g_us * kept
            std = None if std is None else std * kept
        if s.mapping == "differential":
            matrix = (g_us[0] - g_us[1]) / span
        else:
            matrix = 2 * (g_us[0] - s.cell.g_min_us) / span - 1
        factor = 1.0 if s.mapping == "differential" else 4.0
        variance = None if std is None else factor * std.square().sum(0) / span**2
        if s.compensation != "none":
            lost = (self._reference / self._total(s.cell.drift(self.state, self.t_seconds)).clamp_min(1e-12))[0]
            matrix = matrix * lost
            variance = None if variance is None else variance * lost.square()
        self.matrix = matrix * self._real  # (slices, G, T, e, O)
        self.variance = None if variance is None else variance * self._real / s.averages
        self._whole: tuple[Tensor, Tensor | None, Tensor | None] | None = None

    def calibrate(self, x: Tensor, quantile: float) -> None:
        """Fix the ranges of inputs and outputs to what some vectors need.

        Args:
            x: (B, G, I).
            quantile: of the inputs' and the outputs' magnitudes that fit in; the rest saturates.
        """
        x = x.transpose(0, 1)
        limit = torch.quantile(x.abs().flatten()[:_SAMPLE], quantile).clamp_min(1e-12)
        tiles = self._tiled((x / limit).clamp(-1, 1)).transpose(1, 2)
        outputs = torch.cat([(tiles @ matrix).abs().flatten()[:_SAMPLE] for matrix in self.matrix])
        bound = torch.quantile(outputs[:_SAMPLE], quantile).clamp_min(1e-12)
        self.ranges = torch.stack([limit, bound])

    # ------------------------------------------------------------------ reading

    def _limit(self) -> float | None:
        """What the largest input stands for; None: each vector's own."""
        return self.settings.input_range if self.ranges is None else float(self.ranges[0])

    @property
    def converts(self) -> bool:
        """Whether tiles and slices must be read one by one, since something happens before they are added."""
        s = self.settings
        return s.adc_bits is not None or bool(s.adc_gain_std or s.adc_offset_std)

    def read(self, x: Tensor, generator: torch.Generator | None, *, by_block: bool = False) -> Tensor:
        """Products with the matrix.

        Args:
            x: (B, G, I).
            generator: of the read noise; None: the array's own.
            by_block: do not add the blocks.

        Returns:
            (B, G, O), or (B, G, O, K).
        """
        generator = generator or self.generator
        x = x.transpose(0, 1)
        scale = input_scale(x, self._limit())
        u = self._driven(x / scale, generator, self._limit() is not None)
        self.reads += x.shape[0] * x.shape[1]
        if not self.converts and not by_block:
            return (self._straight(u, generator) * scale).transpose(0, 1)
        tiles = self._tiled(u)  # (G, B, T, e)
        tiles = tiles.transpose(1, 2)  # (G, T, B, e)
        total = self.matrix.new_zeros(())
        for number, share in enumerate(self.shares):
            matrix = self.matrix[number]
            variance = None if self.variance is None else self.variance[number]
            part = self._noisy(tiles, matrix, variance, generator)
            part = self._converted(part, matrix, number, "out", 2)
            total = total + part * share
        total = total * self.scales.tile * self.scales.column * scale.unsqueeze(1)  # (G, T, B, O)
        if by_block:
            return total.unflatten(1, (self.blocks, self.parts)).sum(2).permute(2, 0, 3, 1)
        return total.sum(1).transpose(0, 1)

    def read_back(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Products with the transposed matrix, through the same devices.

        Args:
            x: (B, G, O).
            generator: of the read noise; None: the array's own.

        Returns:
            (B, G, I).
        """
        generator = generator or self.generator
        x = x.transpose(0, 1) * self.scales.column[:, 0]  # the scales of outputs are now digital factors of inputs
        scale = input_scale(x, self.settings.input_range)
        u = self._driven(x / scale, generator, self.settings.input_range is not None)
        self.reads += x.shape[0] * x.shape[1]
        width = self.settings.tile_columns or self.outputs
        total = self.matrix.new_zeros(())
        for number, share in enumerate(self.shares):
            matrix = self.matrix[number].flatten(1, 2).transpose(1, 2)  # (G, O, T e)
            variance = None if self.variance is None else self.variance[number].flatten(1, 2).transpose(1, 2)
            for start in range(0, self.outputs, width):
                piece = slice(start, start + width)
                seen = None if variance is None else variance[:, piece]
                part = self._noisy(u[..., piece], matrix[:, piece], seen, generator)
                part = self._untiled(part)
                part = self._converted(part, self._untiled(matrix[:, piece].abs().sum(1)), number, "back", 1) * share
                total = total + part
        tile = self.scales.tile.flatten(1).repeat_interleave(self.rows, 1).unsqueeze(1)  # (G, 1, T e)
        return (total * self._untiled(tile) * scale).transpose(0, 1)

    def _untiled(self, x: Tensor) -> Tensor:
        """(..., T e) -> (..., I): without the padding."""
        kept = x.unflatten(-1, (self.blocks, self.parts * self.rows))[..., : self._block]
        return kept.flatten(-2)

    def _driven(self, u: Tensor, generator: torch.Generator, limited: bool) -> Tensor:
        """Inputs as the array sees them: converted, with the noise of the drivers."""
        s = self.settings
        if limited:
            u = u.clamp(-1, 1)
        u = quantize(u, s.dac_bits)
        if s.input_noise:
            u = u + s.input_noise / math.sqrt(s.averages) * self._normal(u, generator)
        return u

    def _straight(self, u: Tensor, generator: torch.Generator) -> Tensor:
        """(G, B, I) -> (G, B, O), tiles and slices added before anything else happens."""
        if self._whole is None:
            share = torch.tensor(self.shares, dtype=self.matrix.dtype, device=self.matrix.device)
            share = share.view(-1, 1, 1, 1, 1) * self.scales.tile * self.scales.column
            matrix = self._flat((self.matrix * share).sum(0))
            variance = None if self.variance is None else self._flat((self.variance * share.square()).sum(0))
            out = None
            if self.settings.output_noise:
                std = self.settings.output_noise / math.sqrt(self.settings.averages)
                out = (std * share[:, :, :, 0]).square().sum((0, 2)).unsqueeze(1)  # (G, 1, O)
            self._whole = matrix, variance, out
        matrix, variance, out = self._whole
        y = u @ matrix
        if variance is None and out is None:
            return y
        spread = out if variance is None else _variance(u, variance) + (0 if out is None else out)
        return y + spread.sqrt() * self._normal(y, generator)  # type: ignore[union-attr]

    def _flat(self, matrix: Tensor) -> Tensor:
        """(G, T, e, O) -> (G, I, O)."""
        return self._untiled(matrix.flatten(1, 2).transpose(1, 2)).transpose(1, 2).contiguous()

    def _noisy(self, u: Tensor, matrix: Tensor, variance: Tensor | None, generator: torch.Generator) -> Tensor:
        """u @ matrix with the noise of devices and outputs."""
        y = u @ matrix
        out = self.settings.output_noise**2 / self.settings.averages
        if variance is None and not out:
            return y
        spread = out if variance is None else _variance(u, variance) + out
        if isinstance(spread, Tensor):
            return y + spread.sqrt_() * self._normal(y, generator)
        return y + math.sqrt(spread) * self._normal(y, generator)

    def _converted(self, y: Tensor, matrix: Tensor, number: int, side: str, axis: int) -> Tensor:
        """Through the converters of the outputs: (..., B, O). ``matrix`` tells the range of ``adc_range=full``."""
        s = self.settings
        if not self.converts:
            return y
        bound = self._bound(y, matrix, axis)
        peak = y.abs().amax(-1, keepdim=True)
        down = bounded(peak, bound, s.bound_management and s.adc_range != "per_input")
        z = y / (bound * down)
        if f"gain_{side}" in self.state:
            gain, offset = (self.state[f"{kind}_{side}"][number] for kind in ("gain", "offset"))
            if axis == 2:
                gain, offset = gain.unsqueeze(1), offset.unsqueeze(1)
            z = z * gain + offset
        return quantize(z, s.adc_bits) * (bound * down)

    def _bound(self, y: Tensor, matrix: Tensor, axis: int) -> Tensor:
        """Range of the converters, broadcastable to (..., B, 1)."""
        s = self.settings
        if self.ranges is not None and axis == 2:
            return self.ranges[1].to(y).expand_as(y[..., :1])
        if s.adc_range == "per_input":
            return y.abs().amax(-1, keepdim=True).clamp_min(1e-12)
        if s.adc_range == "full":
            reach = matrix.abs().sum(-2) if axis == 2 else matrix
            return reach.amax(-1, keepdim=True).unsqueeze(-1).clamp_min(1e-12)
        return torch.full_like(y[..., :1], float(s.adc_range))

    def _normal(self, like: Tensor, generator: torch.Generator | None = None) -> Tensor:
        chosen = generator or self.generator
        return torch.randn(like.shape, generator=chosen, dtype=like.dtype, device=like.device)

    # ------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Tensor]:
        """All that continues exactly."""
        counts = torch.tensor([self.pulses, self.reads], dtype=torch.int64)
        return {
            **{f"state.{name}": value for name, value in self.state.items()},
            "reference": self._reference,
            "time": torch.tensor(self.t_seconds, dtype=torch.float64),
            "counts": counts,
            "generator": self.generator.get_state(),
            **({} if self.ranges is None else {"ranges": self.ranges}),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over a state."""
        device = self.target_us.device
        self.state = {name[6:]: value.to(device) for name, value in state.items() if name.startswith("state.")}
        self._reference = state["reference"].to(device)
        self.t_seconds = float(state["time"])
        self.pulses, self.reads = (int(count) for count in state["counts"])
        self.generator.set_state(state["generator"].cpu())
        self.ranges = state["ranges"].to(device) if "ranges" in state else None
        self._refresh()


def _variance(u: Tensor, variance: Tensor) -> Tensor:
    """u^2 @ variance."""
    return u.square() @ variance
