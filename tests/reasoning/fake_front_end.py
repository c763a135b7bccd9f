"""A front-end with weights: it sees every value through a fog that it has to learn to look through."""

from __future__ import annotations

import torch
from torch import nn

from datasets import Layout
from datasets.pmf import magnitude_offset, oracle_pmfs
from reasoning.perception import PERCEPTIONS
from reasoning.perception.base import Perception
from reasoning.scene import AttributeKey, Scene
from vsa import Algebra, Backend


@PERCEPTIONS.register("foggy")
class Foggy(Perception):
    """Row-stochastic confusion of values, one table of logits for each attribute's name, shared by components.

    Its result depends on everything that a checkpoint must hold: weights, a buffer that training moves, what the
    generator draws, and the epoch.
    """

    def __init__(
        self,
        *,
        algebra: Algebra,
        backend: Backend,
        layout: Layout,
        columns: int,
        sharpness: float = 1.0,
        noise: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        assert layout.columns == columns
        self.algebra, self.backend, self.layout, self.noise, self.warmth = algebra, backend, layout, noise, 1.0
        generator = torch.Generator().manual_seed(seed)
        widths: dict[str, int] = {}
        for constellation in layout.constellations:
            for (_, name), width in layout.attributes(constellation).items():
                if name != "Position":
                    widths[name] = max(width, widths.get(name, 0))
        self.tables = nn.ParameterDict(
            {name: sharpness * torch.eye(v) + torch.randn(v, v, generator=generator) for name, v in widths.items()}
        )
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def begin_epoch(self, epoch, epochs):
        self.warmth = 1.0 + epoch / epochs

    def forward(self, batch, *, mixed="shares", entities=False, generator=None):
        if self.training:
            assert torch.is_grad_enabled(), "nothing of a front-end runs under no_grad while it is trained"
            assert generator is not None
            self.batches += 1
        arrays = batch.arrays
        labels = oracle_pmfs(arrays, mixed=mixed, entities=entities)
        parts = []
        for values in (labels.pmfs, labels.entities):
            part = {}
            for key, value in values.items():
                pmf = nn.functional.pad(torch.from_numpy(value), (magnitude_offset(arrays, key), 0))
                table = self.tables[key[1]][: pmf.shape[-1], : pmf.shape[-1]]
                if self.training:
                    table = table * self.warmth + self.noise * torch.randn(table.shape, generator=generator)
                part[AttributeKey(*key)] = pmf @ table.softmax(-1)
            parts.append(part)
        sets = {AttributeKey(*key): torch.from_numpy(value) for key, value in labels.sets.items()}
        return Scene(columns=labels.columns, pmfs=parts[0], sets=sets, entities=parts[1])
