"""What a factorizer answers: a :class:`Factorization` that prints and plots itself, and its :class:`Trace`."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vsa import VSAError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["AnswerIndexError", "Factorization", "Trace"]

_PER_QUERY = (
    "indices", "similarities", "product_similarity", "iterations", "converged", "valid", "tau", "false_expected", "macs"
)  # fmt: skip
SWEEP_SHARE = 0.25  # of exhaustive search: a method that spends more is a sweep, whatever it is called


class AnswerIndexError(VSAError, IndexError):
    """There is no such query among the answers."""


@dataclass(frozen=True)
class Trace:
    """What happened in each iteration of each query, as a long table of T lines.

    Args:
        query: (T,), number of the query in the flattened batch.
        iteration: (T,), from 1.
        similarities: (T, F), of the best atom of each factor, as read.
        entropies: (T, F), of the activations, in nats: how many atoms are still superposed (its exponential).
        energy: (T,), minus the similarity of the query to the product of the estimates, where the method has estimates
            that can be compared; else minus the mean similarity.
    """

    query: Tensor
    iteration: Tensor
    similarities: Tensor
    entropies: Tensor
    energy: Tensor

    def of(self, query: int) -> Trace:
        """The lines of one query, in the order of iterations.

        Args:
            query: its number in the flattened batch.
        """
        rows = (self.query == query).nonzero().squeeze(-1)
        return Trace(
            self.query[rows], self.iteration[rows], self.similarities[rows], self.entropies[rows], self.energy[rows]
        )

    def __len__(self) -> int:
        return int(self.query.shape[0])


@dataclass(frozen=True)
class Factorization:
    """The factors of a batch of queries.

    Args:
        indices: (..., F), int64, the row of each factor's atom; -1 throughout: no product (:func:`explain_away`).
        similarities: (..., F), read-out of the winning atom of each factor.
        product_similarity: (...), of the query to the product of these atoms, bound again: the cosine, or the share of
            agreeing blocks, or, where the algebra says so (``laws.products``), the agreement of phases and signs.
        iterations: (...), int64, spent in all, restarts included.
        converged: (...), bool, whether the method stopped by itself.
        valid: (...), bool, whether the product certifies the answer: its similarity reaches ``tau``. Where this is
            false, the indices are a best guess.
        tau: (...), the certificate's bar.
        false_expected: (...), lambda: how many wrong combinations are expected to pass for the answer: unrelated ones
            that reach tau by chance; those of atoms that are alike, which noise may lift above the right one; those of
            other atoms that equal the answer. Counted of products that differ in at most two factors, taking what the
            answer leaves of the query for noise. NaN where it is not known how products spread (``laws.products``,
            atoms that lean to one side), and only equal ones are certified.
        macs: (...), multiply-accumulates spent.
        exhaustive_macs: those of a comparison with every product.
        names: labels of each factor's atoms.
        method: name of the factorizer.
        trace: what happened, if it was asked for.
        sweeps: whether the method goes through the search space by its nature.
        interchangeable: groups of factors whose codebooks share atoms. A product does not tell which of these factors
            an atom came from: the answer is right up to their order, and its atoms are in the order in which the
            codebooks first hold them.
        assumes: what was looked for in a part of large codebooks only, in sentences.
    """

    indices: Tensor
    similarities: Tensor
    product_similarity: Tensor
    iterations: Tensor
    converged: Tensor
    valid: Tensor
    tau: Tensor
    false_expected: Tensor
    macs: Tensor
    exhaustive_macs: int
    names: tuple[tuple[Hashable, ...], ...]
    method: str
    trace: Trace | None = None
    sweeps: bool = False
    interchangeable: tuple[tuple[int, ...], ...] = ()
    assumes: tuple[str, ...] = ()

    @property
    def labels(self) -> Any:
        """The factors by name: a tuple for one query, lists of tuples nested like the leading axes for more.

        None stands for no product.
        """

        def look_up(rows: Any) -> Any:
            if not rows or isinstance(rows[0], list):
                return [look_up(row) for row in rows]
            if rows[0] < 0:
                return None
            return tuple(self.names[f][row] for f, row in enumerate(rows))

        return look_up(self.indices.tolist())

    @property
    def certified(self) -> Any:
        """The labels of what is certified; None where nothing is."""
        return replace(self, indices=torch.where(self.valid.unsqueeze(-1), self.indices, -1)).labels

    @property
    def exhaustive_share(self) -> float:
        """Mean multiply-accumulates per query as a share of those of exhaustive search."""
        return float(self.macs.double().mean()) / self.exhaustive_macs if self.macs.numel() else 0.0

    @property
    def sweep(self) -> bool:
        """Whether the method goes through the search space: by its nature, or spending over a quarter of that work."""
        return self.sweeps or self.exhaustive_share > SWEEP_SHARE

    def __len__(self) -> int:
        return int(self.indices.shape[0]) if self.indices.ndim > 1 else 1

    def __getitem__(self, index: Any) -> Factorization:
        """The answers to some of the queries.

        Args:
            index: of the leading axes, as of a tensor: a number, a slice, a mask, several in a tuple.

        Raises:
            VSAError: the answer to one query has no leading axes, or there are no such queries.
        """
        if self.valid.ndim == 0:
            raise VSAError(
                "Factorization[...]", received="the answer to one query", expected="a batch, which has leading axes"
            )
        every = torch.arange(self.valid.numel(), device=self.valid.device).reshape(self.valid.shape)
        try:
            number = every[index]
        except (IndexError, TypeError, ValueError):
            raise AnswerIndexError(
                "Factorization[...]",
                received=f"index {index!r}",
                expected=f"one into leading axes of shape {tuple(self.valid.shape)}",
            ) from None
        parts = {name: getattr(self, name) for name in _PER_QUERY}
        lead = self.valid.ndim
        picked = {name: part.flatten(0, lead - 1)[number] for name, part in parts.items()}
        trace = None if self.trace is None else _renumbered(self.trace, number.reshape(-1))
        return replace(self, trace=trace, **picked)

    def __iter__(self) -> Iterator[Factorization]:
        """One query after another, of the first axis."""
        return (self[i] for i in range(len(self))) if self.valid.ndim else iter((self,))

    def __str__(self) -> str:
        return "\n".join((self._headline(), *(self._table(limit=10) if self.valid.numel() else ())))

    def __repr__(self) -> str:
        return str(self)

    def _headline(self) -> str:
        count = self.valid.numel()
        certified = int(self.valid.sum())
        work = f"{self.exhaustive_share:.2g} of exhaustive search's operations"
        if not count:
            return f"{self.method}: no queries"
        false = float(self.false_expected.max())
        doubt = f"; {false:.2g} wrong combinations pass by chance" if false >= 1e-2 else ""
        doubt = "; how many wrong combinations pass by chance is not known" if math.isnan(false) else doubt
        bars = sorted({round(value, 3) for value in self.tau.reshape(-1).tolist()})
        tau = f"{bars[0]:g}" if len(bars) == 1 else f"{bars[0]:g} to {bars[-1]:g}"
        what = "query" if count == 1 else "queries"
        groups = " and of ".join(", ".join(map(str, members)) for members in self.interchangeable)
        order = f"; right up to the order of factors {groups}, which share atoms" if groups else ""
        return (
            f"{self.method}: {certified} of {count} {what} certified (tau {tau}{doubt}), "
            f"{float(self.iterations.double().mean()):.1f} iterations, {work}{', a sweep' if self.sweep else ''}{order}"
        )

    def _table(self, limit: int) -> list[str]:
        factors = self.indices.shape[-1]
        indices = self.indices.reshape(-1, factors)
        head = ["query", *(f"factor {f}" for f in range(factors)), "similarity", "iterations", ""]
        lines = [head]
        for row in range(min(limit, len(indices))):
            absent = int(indices[row, 0]) < 0
            names = ["none" if absent else str(self.names[f][int(index)]) for f, index in enumerate(indices[row])]
            mark = "certified" if bool(self.valid.reshape(-1)[row]) else "no product" if absent else "best guess"
            similarity = f"{float(self.product_similarity.reshape(-1)[row]):.3f}"
            lines.append([str(row), *names, similarity, str(int(self.iterations.reshape(-1)[row])), mark])
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
        if len(indices) > limit:
            text.append(f"... and {len(indices) - limit} more")
        return text

    def plot(self, query: int = 0, axes: Axes | None = None) -> Axes:
        """Draw the trace of one query: the similarity of the best atom of each factor, and the product's.

        Args:
            query: its number in the flattened batch.
            axes: where to draw. Default: a new figure.

        Returns:
            The axes.

        Raises:
            VSAError: no trace was kept, or there is no such query.
        """
        if self.trace is None:
            raise VSAError(
                "Factorization.plot", received="a factorization without trace", expected="one made with trace=True"
            )
        lines = self.trace.of(query)
        if not len(lines):
            raise VSAError(
                "Factorization.plot",
                received=f"query {query}",
                expected=f"0 to {self.valid.numel() - 1}, with iterations",
            )
        if axes is None:
            try:
                import matplotlib.pyplot as plt
            except ImportError as error:
                raise VSAError(
                    "Factorization.plot",
                    received="no matplotlib",
                    expected="it installed",
                    hint="pip install 'vsa-reasoning[plots]'",
                ) from error
            axes = plt.subplots(figsize=(6, 3))[1]
        steps = lines.iteration.tolist()
        for factor in range(lines.similarities.shape[-1]):
            axes.plot(steps, lines.similarities[:, factor].tolist(), marker=".", label=f"factor {factor}")
        axes.plot(steps, (-lines.energy).tolist(), color="black", linestyle=":", label="product of the estimates")
        axes.axhline(float(self.tau.reshape(-1)[query]), color="grey", linewidth=0.8, label="tau")
        axes.set_xlabel("iteration")
        axes.set_ylabel("similarity of the best atom")
        verdict = "certified" if bool(self.valid.reshape(-1)[query]) else "best guess"
        axes.set_title(f"{self.method}, query {query}: {verdict}")
        axes.legend(loc="best", fontsize="small")
        return axes


def _renumbered(trace: Trace, queries: Tensor) -> Trace:
    """The lines of some queries, numbered from 0."""
    parts = [trace.of(int(query)) for query in queries]
    if not parts:
        return concatenate([], trace.similarities.shape[-1])
    names = ("iteration", "similarities", "entropies", "energy")
    number = torch.cat([torch.full_like(part.query, i) for i, part in enumerate(parts)])
    return Trace(number, *(torch.cat([getattr(part, name) for part in parts]) for name in names))


def concatenate(parts: list[dict[str, Tensor]], width: int) -> Trace:
    """One trace from the tables of single iterations.

    Args:
        parts: tables with the fields of :class:`Trace`.
        width: F, for an empty trace.
    """
    if not parts:
        empty = torch.zeros(0)
        return Trace(empty.long(), empty.long(), empty.reshape(0, width), empty.reshape(0, width), empty)
    columns = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
    return Trace(**columns)
