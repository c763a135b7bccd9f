"""Formulas learned by gradient: soft ones, all roles weighed at once, hardened afterwards.

Each role enters a soft formula as a mixture: not at all, added, or subtracted; in vectors, a superposition of the
identity, the panel and its inverse, and all roles bound. Binding is done on spectra of one-hot blocks just long enough
for all sums, which is exact; formulas do not depend on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

import vsa
from datasets.panels import ROWS
from reasoning.learners.role_formulas.formula import OFFSETS, Formula
from reasoning.learners.role_formulas.roles import role_set
from reasoning.learners.role_formulas.seen import Seen
from vsa import Codebook
from vsa.models.gsbc import GSBC

__all__ = ["SoftFormulas"]

_SPARSITY = 0.05  # what it costs that a role enters
_SCHEDULE = {"sharpness": (0.2, 1.0), "temperature": (1.0, 0.3), "eps": (0.3, 0.02)}  # from the first epoch to the last


class SoftFormulas(nn.Module):
    """Populations of soft formulas.

    Args:
        populations: G, trained side by side.
        rules: R in each.
        generator: of the initial weights.
        roles: relative or absolute.
    """

    def __init__(self, populations: int, rules: int, generator: torch.Generator, roles: str = "relative") -> None:
        super().__init__()
        self.roles, self._roles = roles, role_set(roles)
        numbers = 3 * len(self._roles.names) + len(OFFSETS) + 2
        self.logits = nn.Parameter(torch.randn(populations, rules, numbers, generator=generator))
        self.shares = nn.Parameter(torch.zeros(populations, rules + 1))  # "no rule" first
        self.progress = 0.0
        self._books: dict[tuple[int, int], tuple[GSBC, Codebook]] = {}

    def loss(self, views: Sequence[tuple[Seen, Tensor]], columns: int) -> Tensor:
        """How badly the populations explain puzzles, and how many roles they use.

        Args:
            views: what is seen of some attributes, with the right candidates (B,).
            columns: n.

        Returns:
            Scalar, summed over populations.
        """
        sharpness, temperature, eps = (start * (end / start) ** self.progress for start, end in _SCHEDULE.values())
        roles, offsets, scope = self._distributions(temperature)
        logs = [
            self._log_evidence(seen, target, columns, roles, offsets, scope, eps).flatten(2) for seen, target in views
        ]
        evidence = torch.cat(logs, -1)  # (G, R, N)
        mixed = torch.cat([torch.zeros_like(evidence[:, :1]), sharpness * evidence], 1)
        loss = -(mixed + self.shares.log_softmax(-1).unsqueeze(-1)).logsumexp(1).mean(-1) / sharpness
        used = (1 - roles[..., 0]).sum(-1).mean(-1)
        return (loss + _SPARSITY * used).sum()

    def _distributions(self, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
        """(G, R, roles, 3) not at all, added, subtracted; (G, R, offsets); (G, R, 2) every panel, the last alone."""
        named = len(self._roles.names)
        sizes = [3 * named, len(OFFSETS), 2]
        roles, offsets, scope = self.logits.split(sizes, -1)
        parts = (roles.unflatten(-1, (named, 3)), offsets, scope)
        return tuple((part / temperature).softmax(-1) for part in parts)

    def _log_evidence(
        self,
        seen: Seen,
        target: Tensor,
        columns: int,
        roles: Tensor,
        offsets: Tensor,
        scope: Tensor,
        eps: float,
    ) -> Tensor:
        """(G, R, B) of context and right answer."""
        algebra, book = self._book(seen.values, columns)
        missing = ROWS * columns - 1
        right = missing + target.view(-1, 1, 1).expand(-1, 1, seen.weights.shape[-1])
        weights, ratio = (
            torch.cat([part[:, :missing], part.gather(1, right)], 1) for part in (seen.weights, seen.ratio)
        )
        support = seen.support
        if support is not None:
            support = torch.cat([support[:, :missing], support.gather(1, right)], 1)

        def spectra(part: Tensor) -> Tensor:
            x = book.superpose(part) if support is None else book.superpose_some(support, part)
            return algebra.spectrum(x).squeeze(-2)  # (B, P, M)

        panels, shown = spectra(weights), spectra(ratio)
        moves = algebra.spectrum(torch.tensor(OFFSETS).unsqueeze(1) % algebra.block_length).squeeze(-2)
        moved = torch.einsum("grd,dm->grm", offsets.to(moves), moves)
        frequencies = algebra.spectral_weights(device=panels.device)
        total = torch.zeros((*roles.shape[:2], len(target)), device=panels.device)
        for panel in range(ROWS * columns):
            row, column = divmod(panel, columns)
            at = self._roles.at(row, column, columns)
            if not at:
                continue
            reach = scope[..., 0] + (scope[..., 1] if column == columns - 1 else 0)  # (G, R)
            predicted = moved.unsqueeze(2)  # (G, R, 1, M)
            for number, role in enumerate(self._roles.names):
                share = roles[:, :, number]
                if role not in at:
                    reach = reach * share[..., 0]
                    continue
                x = panels[:, list(at[role])].prod(1)  # (B, M)
                mixture = share.unsqueeze(-1).unsqueeze(-1)
                predicted = predicted * (mixture[:, :, 0] + mixture[:, :, 1] * x + mixture[:, :, 2] * x.conj())
            found = ((predicted * shown[:, panel].conj()).real * frequencies).sum(-1)  # (G, R, B)
            total = total + (1 + (1 - eps) * reach.unsqueeze(-1) * (found - 1)).clamp_min(1e-6).log()
        return total

    def _book(self, values: int, columns: int) -> tuple[GSBC, Codebook]:
        """One-hot blocks that hold all sums of a row, with an atom for "the entities differ" that no sum reaches."""
        place = (values, columns)
        if place not in self._books:
            reach = values * max(columns - 1, 2) + max(OFFSETS)
            length = 1 << (3 * reach - 1).bit_length()
            algebra = GSBC(dim=length, blocks=1)
            every = torch.arange(length).unsqueeze(1)
            atoms = torch.cat([every[:values], every[length // 2 : length // 2 + 1]])
            self._books[place] = (algebra, vsa.Codebook(algebra, atoms, unrelated=False))
        return self._books[place]

    @torch.no_grad()
    def hardened(self) -> list[Formula]:
        """The likeliest formula of each rule, without those in which no panel enters."""
        found = []
        roles, offsets, scope = self._distributions(_SCHEDULE["temperature"][1])
        signs = torch.tensor([0, 1, -1])
        coefficients = signs[roles.argmax(-1)].flatten(0, 1).tolist()
        steps = torch.tensor(OFFSETS)[offsets.argmax(-1)].flatten().tolist()
        last = scope.argmax(-1).flatten().tolist()
        for one, step, only in zip(coefficients, steps, last, strict=True):
            if any(one):
                found.append(Formula(tuple(one), step, bool(only) or not self._roles.every, roles=self.roles))
        return list(dict.fromkeys(found))
