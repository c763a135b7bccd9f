"""Training against a noisy backend: reads of freshly stored atoms forward, the exact gradient backward.

Reference:
    Joshi et al., "Accurate deep neural network inference using computational phase-change memory", Nature
    Communications 2020 (training with noise injected into the weights, gradients of the clean ones).
"""

from __future__ import annotations

from torch import Generator, Tensor

from .stored import StoredMatrix, _through

__all__ = ["StraightThrough"]


class StraightThrough(StoredMatrix):
    """Answers of a noisy array, with the gradient that the exact matrix would have: to the atoms and to the argument.

    Args:
        noisy: freshly stored; its reads are not differentiated.
        exact: the same atoms, exact and differentiable.
    """

    def __init__(self, noisy: StoredMatrix, exact: StoredMatrix) -> None:
        super().__init__(
            stack=exact.stack,
            count=exact.count,
            width=exact.width,
            block_length=exact.block_length,
            kind=exact.kind,
            device=exact.device,
            dtype=noisy.dtype,
            handle=noisy.handle,
        )
        self._noisy = noisy
        self._exact = exact

    def _matvec(self, x: Tensor, generator: Generator | None) -> Tensor:
        return _through(self._noisy._matvec(x.detach(), generator), self._exact._matvec(x, None))

    def _rmatvec(self, weights: Tensor, generator: Generator | None) -> Tensor:
        return _through(self._noisy._rmatvec(weights.detach(), generator), self._exact._rmatvec(weights, None))

    def _rmatvec_some(self, rows: Tensor, weights: Tensor, generator: Generator | None) -> Tensor:
        noisy = self._noisy._rmatvec_some(rows, weights.detach(), generator)
        return _through(noisy, self._exact._rmatvec_some(rows, weights, None))

    def _block_matvec(self, x: Tensor, generator: Generator | None) -> Tensor:
        return _through(self._noisy._block_matvec(x.detach(), generator), self._exact._block_matvec(x, None))

    def _block_min(self, x: Tensor, generator: Generator | None) -> Tensor:
        return _through(self._noisy._block_min(x.detach(), generator), self._exact._block_min(x, None))
