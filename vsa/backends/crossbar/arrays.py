"""Reads of a matrix on devices, in tiles through converters.

A tile is a group of inputs whose currents add up on a wire before they are converted; tiles are added digitally.
Blocks of a block code are tiles of their own, cut further where they are longer than a tile may be.

Read noise of independent devices adds up to a normal error at each output whose variance is the squared inputs times
the devices' variances; it is drawn there, which is the same in distribution as drawing every device anew for every read
and costs one more matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..stored import all_of, stands_for_many
from .periphery import input_scale, quantile_of, quantize
from .programmed import Programmed

__all__ = ["Array"]

_HALVINGS = 10  # of the inputs, at most, in bound management


class Array(Programmed):
    """G stacked matrices with I inputs and O outputs each, to be read."""

    def calibrate(self, x: Tensor, quantile: float) -> None:
        """Fix the ranges of inputs and outputs to what some vectors need.

        Args:
            x: (B, G, I).
            quantile: of the inputs' and the outputs' magnitudes that fit in; the rest saturates.
        """
        x = x.transpose(0, 1)
        limit = quantile_of(x.abs(), quantile).clamp_min(1e-12)
        tiles = self._tiled((x / limit).clamp(-1, 1)).transpose(1, 2)
        outputs = torch.stack([(tiles @ matrix).abs() for matrix in self.matrix])
        bound = quantile_of(outputs, quantile).clamp_min(1e-12)
        self.ranges = torch.stack([limit, bound])

    def _limit(self, side: str) -> float | None:
        """What the largest input stands for; None: each vector's own."""
        calibrated = side == "out" and self.ranges is not None
        return float(self.ranges[0]) if calibrated else self.settings.input_range  # type: ignore[index]

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
        generator = generator or self._own()
        x = x.transpose(0, 1)
        limit = self._limit("out")
        scale = input_scale(x, limit)
        asked = x / scale
        u = self._driven(asked, generator, limit is not None)
        self.reads += all_of(x).numel() // x.shape[-1]
        if not self.converts and not by_block:
            return (self._straight(u, generator) * scale).transpose(0, 1)
        tiles = self._tiled(u).transpose(1, 2)  # (G, T, B, e)
        asked = self._tiled(asked).transpose(1, 2) if self._manages("out") else tiles
        total, halved = self.matrix.new_zeros(()), []
        for number, share in enumerate(self.shares):
            matrix = self.matrix[number]
            variance = None if self.variance is None else self.variance[number]
            product = partial(self._noisy, matrix=matrix, variance=variance, generator=generator)
            part, again = self._converted(asked, tiles, product, matrix, number, "out", generator)
            total = total + part * share
            halved.append(again)
        self._count(halved, [1 / (len(self.shares) * self.blocks * self.parts)] * len(halved))
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
        generator = generator or self._own()
        x = x.transpose(0, 1) * self.scales.column[:, 0]  # the scales of outputs are now digital factors of inputs
        limit = self._limit("back")
        scale = input_scale(x, limit)
        asked = x / scale
        u = self._driven(asked, generator, limit is not None)
        self.reads += all_of(x).numel() // x.shape[-1]
        width = self.settings.tile_columns or self.outputs
        total, halved, shares = self.matrix.new_zeros(()), [], []
        for number, share in enumerate(self.shares):
            matrix = self.matrix[number].flatten(1, 2).transpose(1, 2)  # (G, O, T e)
            variance = None if self.variance is None else self.variance[number].flatten(1, 2).transpose(1, 2)
            for start in range(0, self.outputs, width):
                piece = slice(start, start + width)
                seen = None if variance is None else variance[:, piece]
                held = matrix[:, piece]
                product = partial(self._noisy_back, matrix=held, variance=seen, generator=generator)
                part, again = self._converted(
                    asked[..., piece], u[..., piece], product, held, number, "back", generator
                )
                total = total + part * share
                halved.append(None if again is None else again.unsqueeze(1))
                shares.append(held.shape[1] / (self.outputs * len(self.shares)))
        self._count(halved, shares)
        tile = self.scales.tile.flatten(1).repeat_interleave(self.rows, 1).unsqueeze(1)  # (G, 1, T e)
        return (total * self._untiled(tile) * scale).transpose(0, 1)

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

    def _converted(
        self,
        asked: Tensor,
        driven: Tensor,
        product: Callable[[Tensor], Tensor],
        reach: Tensor,
        number: int,
        side: str,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor | None]:
        """Tiles read through their converters; beyond the range (bound management) again at a half, a quarter, ...

        Every attempt is a read of its own: the inputs are converted anew, devices, drivers and outputs add new noise,
        and it is paid for. Scaled back up, noise that does not shrink with the inputs has grown.

        Args:
            asked: (..., B, e), the inputs before they are driven.
            driven: the same as the tiles see them at the first attempt.
            product: from driven inputs to noisy outputs (..., B, O).
            reach: (..., e, O), the matrix; what its strongest output could be is the range of ``adc_range=full``.
            number: of the slice.
            side: "out" or "back".
            generator: of the noise.

        Returns:
            (..., B, O), and how often the inputs were halved, (..., B, 1); None where nothing is managed.
        """
        s = self.settings
        y = product(driven)
        if not self.converts:
            return y, None
        bound = self._bound(y, reach, side)
        z = self._at_converters(y / bound, number, side)
        if not self._manages(side):
            return quantize(z, s.adc_bits) * bound, None
        halved, fixed = torch.zeros_like(z[..., :1]), bound[..., :1, :]
        for attempt in range(1, _HALVINGS + 1):
            over = z.abs().amax(-1, keepdim=True) > 1
            rows: Tensor | slice = slice(None)  # all, inside vmap, where no choice can depend on values
            if not stands_for_many(z):
                rows = over.flatten(0, -3).any(0).squeeze(-1).nonzero().squeeze(-1)
                if not len(rows):
                    break
            u = self._driven(asked[..., rows, :] * 0.5**attempt, generator, self._limit(side) is not None)
            again = self._at_converters(product(u) / fixed, number, side)
            z[..., rows, :] = torch.where(over[..., rows, :], again, z[..., rows, :])
            halved = halved + over
        return quantize(z, s.adc_bits) * (fixed * halved.exp2()), halved

    def _at_converters(self, z: Tensor, number: int, side: str) -> Tensor:
        """Outputs as shares of the range, as converters with gains and offsets of their own see them."""
        if f"gain_{side}" not in self.state:
            return z
        gain, offset = (self.state[f"{kind}_{side}"][number] for kind in ("gain", "offset"))
        if side == "out":
            gain, offset = gain.unsqueeze(1), offset.unsqueeze(1)
        return z * gain + offset

    def _manages(self, side: str) -> bool:
        """Whether reads beyond the converters' range are repeated: there is a range that does not follow the read."""
        s = self.settings
        fixed = s.adc_range != "per_input" or (side == "out" and self.ranges is not None)
        return s.bound_management and s.adc_bits is not None and fixed

    def _count(self, halved: list[Tensor | None], shares: list[float]) -> None:
        """Bill the repeated reads of one batch: all of them in energy, the longest of each vector's tiles in time.

        Args:
            halved: (G, T, B, 1) each: of the slices and columns of tiles.
            shares: of one tile of them in the whole array.
        """
        again = [(each, share) for each, share in zip(halved, shares, strict=True) if each is not None]
        if again:
            self.repeats += sum(float(all_of(each).sum()) * share for each, share in again)
            self.rounds += int(all_of(torch.stack([each.amax(1) for each, _ in again]).amax(0)).sum())

    def _bound(self, y: Tensor, matrix: Tensor, side: str) -> Tensor:
        """Range of the converters, broadcastable to (..., B, 1)."""
        s = self.settings
        if self.ranges is not None and side == "out":
            return self.ranges[1].to(y).expand_as(y[..., :1])
        if s.adc_range == "per_input":
            return y.abs().amax(-1, keepdim=True).clamp_min(1e-12)
        if s.adc_range == "full":
            return matrix.abs().sum(-2).amax(-1, keepdim=True).unsqueeze(-1).clamp_min(1e-12)
        return torch.full_like(y[..., :1], float(s.adc_range))

    def _noisy_back(self, u: Tensor, matrix: Tensor, variance: Tensor | None, generator: torch.Generator) -> Tensor:
        """The same for a read backwards: without the outputs of padding."""
        return self._untiled(self._noisy(u, matrix, variance, generator))


def _variance(u: Tensor, variance: Tensor) -> Tensor:
    """u^2 @ variance."""
    return u.square() @ variance
