"""Law suites for algebras, backends and memory devices, for the project's own and for those that others write.

>>> import vsa
>>> results = vsa.check_algebra(vsa.get("gsbc", dim=64, blocks=4))
>>> {result.law: result.status for result in results}["associative"]
'held'
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from . import validation
from .algebra import Algebra
from .backends.base import Backend
from .backends.device import MemoryDevice
from .codebook import Codebook
from .errors import UnknownNameError, UnsupportedError, VSAError
from .law_suite import ALGEBRA_LAWS, Case, LawError, Skipped, difference
from .seeding import child_seed
from .validation import default_dtype, make_generator, real_dtype

__all__ = ["ALGEBRA_LAWS", "LawError", "LawResult", "check_algebra", "check_backend", "check_device", "check_law"]


@dataclass(frozen=True)
class LawResult:
    """The outcome of one law.

    Args:
        law: its name.
        status: whether it held or said nothing.
        detail: the largest error, or the reason of skipping.
    """

    law: str
    status: Literal["held", "skipped"]
    detail: str


def check_law(algebra: Algebra, law: str, *, seed: int = 0) -> LawResult:
    """Hold an algebra to one law.

    Args:
        algebra: the algebra, small (D of some hundred), for gradients are checked numerically.
        law: a key of ``ALGEBRA_LAWS``.
        seed: of the random vectors.

    Returns:
        The outcome.

    Raises:
        LawError: the law is broken.
    """
    validation.check_kind("check_law", algebra, Algebra, "an algebra", "see vsa.get")
    if not isinstance(law, str) or law not in ALGEBRA_LAWS:
        raise UnknownNameError("check_law", name=law, known=ALGEBRA_LAWS, kind="law")
    try:
        error = ALGEBRA_LAWS[law](Case(algebra, make_generator("check_law", None, seed)))
    except Skipped as reason:
        return LawResult(law, "skipped", str(reason))
    except UnsupportedError as missing:
        raise LawError(
            f"{algebra}, law {law}",
            received=f"no operation behind {missing.operation!r}",
            expected="each that is missing listed in laws.lacks, with the reason",
        ) from missing
    except LawError as broken:
        raise LawError(f"{algebra}, law {law}", received=broken.received, expected=broken.expected) from broken
    return LawResult(law, "held", f"largest error {error:.2g}")


def check_algebra(algebra: Algebra, *, seed: int = 0) -> tuple[LawResult, ...]:
    """Hold an algebra to every law it claims.

    Args:
        algebra: the algebra.
        seed: of the random vectors.

    Returns:
        One outcome per law; a skipped one says why.

    Raises:
        LawError: a law is broken.
    """
    return tuple(check_law(algebra, law, seed=seed) for law in ALGEBRA_LAWS)


def check_backend(
    backend: Backend, algebra: Algebra, *, seed: int = 0, tolerance: float | None = 1e-5
) -> tuple[LawResult, ...]:
    """Hold a backend to the seam: every codebook read equals the dense formula.

    Args:
        backend: the backend.
        algebra: whose codebooks it stores, in each of the algebra's forms, plain and stacked.
        seed: of atoms and arguments.
        tolerance: of the error's norm over the output's; None for a noisy backend, where only shapes are compared.

    Returns:
        One outcome per read and form.

    Raises:
        LawError: a read is wrong.
    """
    validation.check_kind("check_backend", backend, Backend, "a backend", "see vsa.backends.get")
    validation.check_kind("check_backend", algebra, Algebra, "an algebra", "see vsa.get")
    generator = make_generator("check_backend", None, seed)
    results = []
    for number, form in enumerate(algebra.forms):
        dtype = default_dtype(form)
        # Few atoms, a stack, and more atoms than dimensions: a backend may read each in another way.
        for shape in ((11,), (2, 11), (algebra.embedding.width + 1,)):
            atoms = algebra.random(*shape, generator=generator, dtype=dtype)
            book = Codebook(algebra, atoms, backend=backend, seed=child_seed(seed, "array", number, *shape))
            for lead in ((), (3,), (40,), (2, 0)):
                results += _check_reads(book, shape[:-1], lead, generator, tolerance)
    return tuple(results)


def _query_dtype(algebra: Algebra, embedded: torch.dtype) -> torch.dtype:
    """The canonical form's dtype that goes with the embedding's; any where vectors are no floats."""
    dtypes = algebra.forms[0].dtypes
    return next((d for d in dtypes if real_dtype(d) == embedded), dtypes[0])


def _check_reads(
    book: Codebook, stack: tuple[int, ...], lead: tuple[int, ...], generator: torch.Generator, tolerance: float | None
) -> list[LawResult]:
    algebra, atoms = book.algebra, book.algebra.embed(book.atoms)
    x = algebra.random(*lead, *stack, generator=generator, dtype=_query_dtype(algebra, atoms.dtype))
    w = torch.rand(*lead, *stack, len(book), generator=generator, dtype=atoms.dtype)
    e = algebra.embedding
    scores = (algebra.embed(x).unsqueeze(-2) * atoms).sum(-1) * e.scale + e.offset
    pairs = {
        "similarity": (book.similarity(x), scores),
        "superpose": (book.superpose(w), algebra.unembed((w.unsqueeze(-2) @ atoms).squeeze(-2))),
        "topk": (book.topk(x, 4)[0], scores.topk(4).values),
    }
    if book.stored.block_length is not None:
        products = (algebra.embed(x).unsqueeze(-2) * atoms).unflatten(-1, (-1, book.stored.block_length)).sum(-1)
        pairs["block_similarity"] = (book.block_similarity(x), products)
        pairs["linf_similarity"] = (book.linf_similarity(x), products.amin(-1))
    results = []
    for read, (left, right) in pairs.items():
        name = f"{read} of {book.stored.kind} {tuple(book.atoms.shape)} at {tuple(x.shape)}"
        error = math.inf
        if left.shape == right.shape:
            size = difference(right, torch.zeros_like(right)).norm().clamp_min(1e-12)
            error = float(difference(left, right).norm() / size)
        if left.shape != right.shape or (tolerance is not None and error > tolerance):
            raise LawError(
                f"{book.backend.name} {name}",
                received=f"shape {tuple(left.shape)}, relative error {error:.3g}",
                expected=f"shape {tuple(right.shape)}, relative error up to {tolerance}",
            )
        results.append(LawResult(name, "held", f"relative error {error:.2g}"))
    return results


DEVICES = 20_000  # programmed for each target
TIMES_SECONDS = (0.0, 1.0, 3600.0, 3.15e7)
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)  # targets, of the range of conductance
STANDARD_ERRORS = 5.0  # that a moment may be off


def check_device(device: MemoryDevice, *, seed: int = 0) -> tuple[LawResult, ...]:
    """Hold a memory device to the moments that it declares, and to what an array relies on.

    At five targets and four times, for 20,000 devices each, means and standard deviations may be off by five standard
    errors, which are estimated from the sample itself.

    Args:
        device: with the hooks ``program``, ``drift`` and ``read_std``, and its ``moments``.
        seed: of the programming.

    Returns:
        One outcome per law and target.

    Raises:
        LawError: a moment is not as declared, a state or a read is malformed, or a hook is not repeatable.
    """
    validation.check_kind("check_device", device, MemoryDevice, "a memory device")
    make_generator("check_device", None, seed)
    results = []
    for share in SHARES:
        target = device.g_min_us + share * (device.g_max_us - device.g_min_us)
        wanted = torch.full((DEVICES,), target, dtype=torch.float64)
        state = device.program(wanted, torch.Generator().manual_seed(seed))
        what = f"device {device.name} at {target:.4g} uS"
        _check_state(what, state, device.program(wanted, torch.Generator().manual_seed(seed)))
        kept = {name: value.clone() for name, value in state.items()}
        fresh = kept["g_us"]
        for t_seconds in TIMES_SECONDS:
            law, expected = f"{what} after {t_seconds:g} s", device.moments(target, t_seconds)
            now, std = device.drift(state, t_seconds), device.read_std(state, wanted, t_seconds)
            if any(not torch.equal(value, state[name]) for name, value in kept.items()):
                raise LawError(law, received="hooks that change the state", expected="hooks that only read it")
            if not torch.equal(now, device.drift(state, t_seconds)):
                raise LawError(f"{law}: drift", received="two answers", expected="what was drawn at programming holds")
            if now.shape != fresh.shape or not bool((now >= 0).all()):
                raise LawError(f"{law}: drift", received="another shape or negative conductances", expected="uS")
            alive = fresh > 0
            errors = [
                _compare(f"{law}: conductance as programmed", fresh, expected.mean_us, expected.std_us, device.g_max_us)
            ]
            if bool(alive.any()):
                log = (now[alive] / fresh[alive]).log()
                errors.append(_compare(f"{law}: ln(g(t) / g(0))", log, expected.log_kept_mean, expected.log_kept_std))
            std = torch.zeros_like(wanted) if std is None else std
            if std.shape != wanted.shape or not bool((std >= 0).all()):
                raise LawError(f"{law}: read_std", received="another shape or negative values", expected="uS, or None")
            errors.append(_compare(f"{law}: read noise squared", std.square(), expected.read_std_us**2, None))
            results.append(LawResult(law, "held", f"within {max(errors):.2g} standard errors"))
    _check_range(device)
    return tuple(results)


def _check_state(what: str, state: dict[str, torch.Tensor], again: dict[str, torch.Tensor]) -> None:
    if "g_us" not in state:
        raise LawError(f"{what}: program", received=f"a state of {', '.join(state)}", expected="an entry g_us, in uS")
    for name, value in state.items():
        if value.shape != state["g_us"].shape or not bool(value.isfinite().all()):
            raise LawError(f"{what}: program", received=f"{name} malformed", expected="finite, one for each device")
        if name not in again or not torch.equal(value, again[name]):
            raise LawError(f"{what}: program", received="two states from a seed", expected="the generator's alone")
    if bool((state["g_us"] < 0).any()):
        raise LawError(f"{what}: program", received="negative conductances", expected="none below zero")


def _compare(what: str, sample: torch.Tensor, mean: float, std: float | None, scale: float = 1.0) -> float:
    """How many standard errors a sample's mean and deviation are off; refused above the limit."""
    slack = 1e-9 * max(scale, abs(mean))
    centred = sample - sample.mean()
    variance = float(centred.square().mean())
    # Of the variance's standard error the fourth moment decides; of the deviation's, its derivative.
    fourth = float(centred.pow(4).mean())
    moments = [("mean", float(sample.mean()), mean, math.sqrt(variance / len(sample)))]
    if std is not None:
        found = math.sqrt(variance)
        error = math.sqrt(max(fourth - variance**2, 0.0) / len(sample)) / (2 * found) if found > slack else 0.0
        moments.append(("standard deviation", found, std, error))
    worst = 0.0
    for name, found, wanted, error in moments:
        off = abs(found - wanted)
        if off > STANDARD_ERRORS * error + slack:
            raise LawError(
                f"{what}, {name}",
                received=f"{found:.5g} of {len(sample)} devices",
                expected=f"{wanted:.5g} as declared, within {STANDARD_ERRORS * error + slack:.2g}",
            )
        worst = max(worst, (off - slack) / error if error else 0.0)
    return worst


def _check_range(device: MemoryDevice) -> None:
    for target in (device.g_max_us * 1.1, device.g_min_us - 0.1 * device.g_max_us):
        try:
            device.program(torch.tensor([target]), torch.Generator().manual_seed(0))
        except VSAError:
            continue
        raise LawError(
            f"device {device.name}: program",
            received=f"a target of {target:.4g} uS, accepted",
            expected=f"a refusal out of {device.g_min_us:g} to {device.g_max_us:g} uS",
            hint="call check_target first",
        )
