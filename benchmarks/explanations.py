"""Whether explanations are true: what they say beside what the generator did.

    python benchmarks/explanations.py [--puzzles 1000] [--models nvsa arlc] [--sets center 3x3] [--seed 77]
                                      [--out benchmarks/results/explanations]

Every explanation of every puzzle is taken apart into its statements: rules claimed, what the missing panel shows, where
a candidate is wrong, and that it is right in all else. A statement counts as false

- for the generator, where it is not what the generator did: another rule, another value in the right candidate;
- for the panels, where no rule of the grammar that the context leaves open would make it true either.

In 2 to 5 % of the puzzles the panels leave two rules open that predict different answers: nobody who sees them alone
can be sure of the first kind. The table has the shares among what is said with more than .9.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SETS = ("center", "2x2", "3x3", "left_right", "up_down", "out_in", "out_in_grid")
SURE = 0.9


class Verdict(NamedTuple):
    """A statement and whether it is true: of the generator, of the panels."""

    item: int
    statement: Any
    meant: bool
    open: bool


class Truth:
    """What the labels of puzzles say.

    Args:
        arrays: N puzzles.
    """

    def __init__(self, arrays: Any) -> None:
        from datasets.rules.consistency import consistent_families

        self.arrays = arrays
        self.numbers = {layout.name: c for c, layout in enumerate(arrays.layouts)}
        self.codes = {rule.name: (column, rule) for column, rule in enumerate(arrays.grammar)}
        self.families = [consistent_families(arrays, c) for c in range(len(arrays.components))]

    def judge(self, item: int, statement: Any) -> Verdict:
        """Compare one statement about a puzzle.

        Args:
            item: which puzzle.
            statement: of an explanation.

        Returns:
            The verdict.
        """
        c, name = self.numbers[statement.component], statement.attribute
        if statement.kind == "rule":
            return Verdict(item, statement, *self._rule(item, c, name, statement.value))
        target = int(self.arrays.target[item])
        meant = self.shows(item, c, name, target) == statement.value
        possible = meant or self._completes(item, c, name, statement.value)
        if statement.candidate is not None:
            wrong = self.shows(item, c, name, statement.candidate) != statement.value
            meant, possible = meant and wrong, possible and wrong
        if statement.kind == "alone":
            meant = meant and self._others_alike(item, c, name, statement.candidate, target)
            possible = possible and (meant or self._others_open(item, c, name, statement.candidate, target))
        return Verdict(item, statement, meant, possible)

    def shows(self, item: int, c: int, name: str, candidate: int) -> Any:
        """What a candidate shows, in the terms of an explanation."""
        return self._panels(item, c, name)[self.arrays.context + candidate]

    def _panels(self, item: int, c: int, name: str) -> list[Any]:
        part, panels = self.arrays.components[c], range(self.arrays.panels)
        if name == "Number":
            return [int(count) for count in part.numbers[item]]
        if name == "Position":
            return [tuple(np.flatnonzero(part.exists[item, p]).tolist()) for p in panels]
        found = []
        for p in panels:
            levels = set(part.attributes[name][item, p][part.exists[item, p]].tolist())
            found.append(levels.pop() if len(levels) == 1 else None)
        return found

    def _rule(self, item: int, c: int, name: str, family: str) -> tuple[bool, bool]:
        from datasets.arrays import GOVERNED, RULE_SLOTS

        part, (column, rule) = self.arrays.components[c], self.codes[family]
        both = RULE_SLOTS[0] in rule.governs
        if name in ("Number", "Position"):
            governed = GOVERNED[int(part.governed[item])]
            meant = rule.code == part.rules[item, 0] and governed in (name, RULE_SLOTS[0])
            name = "Position" if both else name  # alike in both: it shows on Position
        else:
            meant = rule.code == part.rules[item, RULE_SLOTS.index(name)]
        return bool(meant), bool(self.families[c][name][item, column])

    def _completes(self, item: int, c: int, name: str, value: Any, alone: bool = False) -> bool:
        """Whether a rule that the context leaves open puts this value into the missing panel.

        Args:
            item: which puzzle.
            c: which component.
            name: which attribute.
            value: what the panel would show.
            alone: whether only rules count that govern just this: of Number/Position, not what stays alike in both.
        """
        from datasets.attributes import ATTRIBUTES
        from datasets.rules.domains import SlotSets, Values

        arrays, layout = self.arrays, self.arrays.layouts[c]
        context = self._panels(item, c, name)[: arrays.context]
        mixed = None in context
        if mixed or value is None:
            return mixed and value is None
        domain: Any
        if name == "Number":
            domain = Values(1, layout.slots)
        elif name == "Position":
            domain = SlotSets(layout.slots)
            context, value = [_mask(slots) for slots in context], _mask(value)
        else:
            low, high = layout.range(name) if arrays.maxval is None else (0, arrays.maxval)
            offset = ATTRIBUTES[name].offset if arrays.maxval is None else 0
            domain = Values(low + offset, high + offset, white=arrays.maxval is None)
            context, value = [level + offset for level in context], value + offset
        matrix = np.array([*context, value], dtype=np.int64).reshape(1, arrays.columns, arrays.columns)
        rules = [rule for rule in arrays.grammar if (name in rule.governs if alone else rule.governs_part(name))]
        return any(bool(rule.fits(matrix, domain)[0]) for rule in rules)

    def _others_alike(self, item: int, c: int, name: str, candidate: int, target: int) -> bool:
        """Whether a candidate is like the right one in all else; another number is another set of slots."""
        from datasets.arrays import NUMBER

        for component, part in enumerate(self.arrays.components):
            # Where Number governs, any set of slots is right.
            governed = ("Number",) if part.governed[item] == NUMBER else ("Number", "Position")
            names = [*("Type", "Size", "Color"), *(governed if part.slots > 1 else ())]
            for other in names:
                if (component, other) == (c, name) or (component == c and {other, name} == {"Number", "Position"}):
                    continue
                if self.shows(item, component, other, candidate) != self.shows(item, component, other, target):
                    return False
        return True

    def _others_open(self, item: int, c: int, name: str, candidate: int, target: int) -> bool:
        """Whether some rules that the context leaves open make a candidate right in all else.

        Of Number and Position one is enough: a rule on Number leaves the slots open, and one on Position says both.
        """

        def right(component: int, other: str, alone: bool = False) -> bool:
            shown = self.shows(item, component, other, candidate)
            same = shown == self.shows(item, component, other, target)
            return (same and not alone) or self._completes(item, component, other, shown, alone)

        for component, part in enumerate(self.arrays.components):
            others = [other for other in ("Type", "Size", "Color") if (component, other) != (c, name)]
            if not all(right(component, other) for other in others):
                return False
            told = part.slots == 1 or (component == c and name in ("Number", "Position"))
            if not (told or right(component, "Position") or right(component, "Number", alone=True)):
                return False
        return True


def _mask(slots: Any) -> int:
    return sum(1 << slot for slot in slots)


def verdicts(solver: Any, arrays: Any, batch: int = 100) -> Iterator[tuple[Any, list[Verdict]]]:
    """Explain puzzles and judge what is said.

    Args:
        solver: explains.
        arrays: N puzzles with labels.
        batch: puzzles at a time.

    Yields:
        Each explanation with the verdicts on its statements.
    """
    for start in range(0, len(arrays), batch):
        part = arrays[start : start + batch]
        truth = Truth(part)
        for item, explanation in enumerate(solver.explanations(part)):
            yield explanation, [truth.judge(item, statement) for statement in explanation.statements()]


def measure(model: str, name: str, puzzles: int, seed: int) -> dict[str, Any]:
    """Counts for one model and constellation.

    Args:
        model: its name.
        name: of the constellation.
        puzzles: how many.
        seed: of the puzzles.

    Returns:
        For all statements and each kind: how many are said with more than .9, and how many of them are false.
    """
    import torch

    import datasets
    import reasoning

    torch.set_num_threads(1)
    arrays = datasets.generate("iraven", name, n=puzzles, seed=seed)
    counts: Counter[str] = Counter()
    examples: list[str] = []
    for explanation, judged in verdicts(reasoning.make_solver(model), arrays):
        counts["tied"] += int(bool(explanation.tied))
        counts["right"] += int(explanation.answer == explanation.puzzle.target)
        for verdict in judged:
            if verdict.statement.probability <= SURE:
                continue
            for kind in ("all", verdict.statement.kind):
                counts[f"{kind} said"] += 1
                counts[f"{kind} false for the generator"] += int(not verdict.meant)
                counts[f"{kind} false for the panels"] += int(not verdict.open)
            if not verdict.open and len(examples) < 5:
                examples.append(f"puzzle {explanation.puzzle.index}: {verdict.statement}")
    return {"model": model, "set": name, "puzzles": puzzles, "seed": seed, **counts, "examples": examples}


def table(rows: list[dict[str, Any]]) -> str:
    """The counts in Markdown."""
    kinds = ("rule", "expects", "fault", "alone")
    head = ["model", "set", "said", "false for the generator", "false for the panels", "per 10,000", *kinds]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    total: Counter[str] = Counter()
    for row in rows:
        total.update({key: value for key, value in row.items() if "said" in key or "false" in key})
    for row in [*rows, {"model": "all", "set": "", **total}]:
        said, meant, left = (row.get(f"all {what}", 0) for what in ("said", *_FALSE))
        share = f"{1e4 * left / said:.1f}" if said else "-"
        parts = [f"{row.get(f'{kind} {_FALSE[1]}', 0)} of {row.get(f'{kind} said', 0)}" for kind in kinds]
        lines.append("| " + " | ".join(map(str, (row["model"], row["set"], said, meant, left, share, *parts))) + " |")
    return "\n".join(lines)


_FALSE = ("false for the generator", "false for the panels")


def main() -> None:
    """Measure, print, write."""
    from reasoning import learners

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--puzzles", type=int, default=1000)
    parser.add_argument("--models", nargs="+", default=learners.names())
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--seed", type=int, default=77)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    for model in arguments.models:
        for name in arguments.sets:
            rows.append(measure(model, name, arguments.puzzles, arguments.seed))
            print(json.dumps(rows[-1]), flush=True)
    text = table(rows)
    print(f"\n{text}")
    if arguments.out:
        command = f"python benchmarks/explanations.py --puzzles {arguments.puzzles} --seed {arguments.seed}"
        content = json.dumps({"date": str(date.today()), "command": command, "rows": rows}, indent=1)
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.with_suffix(".json").write_text(content + "\n", encoding="utf-8")
        words = (
            "What explanations say with more than .9, and how much of it is false; on the right by kind, of the panels."
        )
        head = f"# Are explanations true?\n\n`{command}`, {date.today()}. {words}\n\n"
        arguments.out.with_suffix(".md").write_text(head + text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
