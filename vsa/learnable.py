"""Codebooks whose atoms are learned: exact while they change, then frozen onto any backend."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from .algebra import Algebra
from .backends import get as get_backend
from .backends.base import Backend, DeviceHandle, StoredMatrix
from .codebook import Codebook
from .errors import DtypeError, VSAError
from .seeding import child_seed

__all__ = ["Constraint", "LearnableCodebook"]

_REFRESHED = "refreshed"  # in the state dict: how often the noise of the view has been drawn anew

Constraint = Literal["free", "normalized", "quantized"]


class LearnableCodebook(Codebook):
    """A codebook that owns its atoms as a parameter.

    Reads are digital and differentiable, with respect to atoms and arguments, until :meth:`freeze`. With ``view`` they
    are those of another backend's train view instead: in training mode the atoms are stored afresh at each
    :meth:`refresh` (once per batch), and gradients pass straight through to the parameter; in evaluation mode the
    reads are exact.

    Args:
        algebra: whose vectors the atoms are.
        atoms: (..., N, D), float or complex: where to start from.
        labels: N distinct names. Default: 0 to N - 1.
        constraint: what is read in place of the parameter: the parameter (``"free"``), ``algebra.normalize`` of it, or
            ``algebra.quantize`` of it with a straight-through gradient.
        view: the backend to train for. Default: none, exact reads.
        seed: of the view's noise. Default: its own.
    """

    def __init__(
        self,
        algebra: Algebra,
        atoms: Tensor,
        *,
        labels: Sequence[Hashable] | None = None,
        constraint: Constraint = "normalized",
        view: Backend | None = None,
        seed: int | None = None,
    ) -> None:
        if not isinstance(constraint, str) or constraint not in get_args(Constraint):
            known = ", ".join(get_args(Constraint))
            raise VSAError("LearnableCodebook", received=f"constraint {constraint!r}", expected=f"one of {known}")
        if isinstance(atoms, Tensor) and not (atoms.is_floating_point() or atoms.is_complex()):
            raise DtypeError(
                "LearnableCodebook",
                received=f"atoms of {str(atoms.dtype).removeprefix('torch.')}",
                expected="float or complex atoms, which have gradients",
                hint="embed block codes with from_index and bipolar vectors with .to(dtype); bsc and sbc have none",
            )
        if view is not None and not isinstance(view, Backend):
            raise DtypeError("LearnableCodebook", received=f"view {view!r}", expected="a backend")
        exact = get_backend("digital")
        super().__init__(algebra, atoms, labels=labels, backend=exact, seed=(view or exact).seed_of(seed))
        self.constraint: Constraint = constraint
        self.view = view
        self._batch = 0
        if constraint == "quantized":
            algebra.quantize(self.atoms)  # refuses now what it would refuse at the first read
        start = self.atoms
        del self.atoms
        self.atoms = nn.Parameter(start)
        del self._stored

    # ------------------------------------------------------------------ reading

    @property
    def constrained(self) -> Tensor:
        """The atoms as they are read: (..., N, D), differentiable."""
        if self.constraint == "normalized":
            return self.algebra.normalize(self.atoms)
        if self.constraint == "quantized":
            hard = self.algebra.quantize(self.atoms)
            return self.atoms + (hard - self.atoms).detach()
        return self.atoms

    @property
    def stored(self) -> StoredMatrix:
        """The matrix as the parameter is now."""
        wanted = self.algebra.storage(self.constrained)
        if self.view is None or not self.training:
            return self.backend.store(wanted.atoms, wanted.kind, block_length=wanted.block_length, check_values=False)
        seed = child_seed(self.seed, "train view", self._batch)
        return self.view.train_view(wanted.atoms, wanted.kind, block_length=wanted.block_length, seed=seed)

    def refresh(self) -> None:
        """Draw the view's noise anew: call it once per batch. Reads in between see one and the same array."""
        self._batch += 1

    def _vectors(self) -> Tensor:
        return self.constrained

    # ------------------------------------------------------------------ freezing

    @torch.no_grad()
    def freeze(self, backend: Backend | None = None, *, seed: int | None = None) -> Codebook:
        """A fixed codebook of the atoms as they are now, constraint applied.

        Args:
            backend: where they are stored. Default: digital.
            seed: of the stored array, for backends where storing is random. Default: its own.

        Returns:
            A new codebook without parameters; this one may be trained on.
        """
        backend = get_backend("digital") if backend is None else backend
        return Codebook(self.algebra, self.constrained, labels=self.labels, backend=backend, seed=seed, unrelated=False)

    def on(self, backend: Backend, *, seed: int | None = None) -> Codebook:
        """The same as :meth:`freeze`."""
        return self.freeze(backend, seed=seed)

    def fingerprint(self) -> str:
        return self.freeze().fingerprint()

    def save(self, path: Any) -> None:
        """Write the frozen atoms; ``Codebook.load`` reads them."""
        self.freeze().save(path)

    def _store(self) -> StoredMatrix:
        return self.stored if "atoms" in self._parameters else super()._store()

    def _handle(self) -> DeviceHandle:
        return DeviceHandle()  # a train view lasts for a batch

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self.view is not None:
            destination[prefix + _REFRESHED] = torch.tensor(self._batch)

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        self._batch = int(state_dict.pop(prefix + _REFRESHED, self._batch))
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        self.__dict__.pop("_stored", None)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.pop("_stored", None)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_stored"}

    def _apply(self, fn: Any, recurse: bool = True) -> LearnableCodebook:
        nn.Module._apply(self, fn, recurse)
        return self

    def extra_repr(self) -> str:
        """Algebra, size, constraint."""
        seen = "" if self.view is None else f", trained for {self.view.name}"
        return f"{self.algebra}, {len(self)} atoms, {self.constraint}{seen}"
