"""docs/algebras.md says what the algebras declare, at the dimension it names."""

from __future__ import annotations

from pathlib import Path

import vsa

PAGE = Path(__file__).resolve().parents[2] / "docs" / "algebras.md"
DIM = 1024


def row(name: str) -> str:
    """One line of the table, from the code."""
    algebra = vsa.get(name, dim=DIM)
    laws = algebra.laws
    yes = {True: "yes", False: "no"}
    unbinding = "exact" if laws.exact_keys != "none" else f"cosine {laws.unbinding_cosine:.3f}"
    keys = {"all": "all", "random": "atoms", "none": "none"}[laws.exact_keys]
    entries = "signs" if laws.signs else "-" if algebra.block_length is None else f"blocks of {algebra.block_length}"
    lacks = ", ".join(operation for operation, _ in laws.lacks) or "-"
    cells = (
        f"`{name}`", "; ".join(map(str, algebra.forms)), yes[laws.commutative], yes[laws.associative],
        yes[laws.self_inverse], unbinding, keys, "sum" if laws.linear else "vote",
        f"{laws.crosstalk_mean:.4g} +- {laws.crosstalk_std:.4g}", yes[laws.permutation_distributes],
        algebra.embedding.width, yes[laws.adjoint], entries, laws.products, lacks,
    )  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def test_every_row_is_what_the_code_declares() -> None:
    shown = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    names = [line.split("`")[1] for line in shown]
    assert len(names) == len(set(names)) >= 7
    assert shown == [row(name) for name in names]
