"""Two-sample tests of the generator against the published generators' tables (statistics.json, joint.json).

Ours: 20,000 puzzles per constellation; theirs: 2,000 (RAVEN 500). All tables of all constellations and data sets are
one family with a family-wise alpha of 1e-3, a third of it for I-RAVEN, RAVEN and I-RAVEN-X each, by Holm's procedure.

Tables that count puzzles: chi-square test of homogeneity, cells with an expected count below 5 merged. Tables that
count entities: entities of a puzzle are correlated, so the mean histogram per puzzle is compared by a Wald test with
the covariance between puzzles, estimated on our sample (chi-square by the central limit theorem at n >= 500).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import datasets
from datasets.arrays import GOVERNED, MODIFIABLE, RULE_NAMES, RULE_SLOTS, PuzzleArrays
from datasets.rules.consistency import panel_values

N = 20_000
ALPHA = 1e-3 / 3  # per test; three tests share the family-wise 1e-3
SEED = 20_001


def homogeneity(ours: dict[str, float], theirs: dict[str, float]) -> float:
    """p-value that two tables of counts come from one distribution."""
    keys = sorted(set(ours) | set(theirs))
    table = np.array([[ours.get(k, 0) for k in keys], [theirs.get(k, 0) for k in keys]], dtype=float)
    table = table[:, table.sum(axis=0) > 0]
    share = table.sum(axis=1).min() / table.sum()
    order = np.argsort(table.sum(axis=0))
    table = table[:, order]
    small = np.cumsum(table.sum(axis=0)) * share < 5  # expected counts in the smaller sample
    if small.any():
        cut = int(small.sum()) + 1
        table = np.concatenate([table[:, :cut].sum(axis=1, keepdims=True), table[:, cut:]], axis=1)
    if table.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)


def wald(per_puzzle: np.ndarray, theirs: np.ndarray, count: int) -> float:
    """p-value that mean histograms agree: per_puzzle (N, V) ours, theirs (V,) totals over ``count`` puzzles."""
    difference = per_puzzle.mean(axis=0) - theirs / count
    covariance = np.atleast_2d(np.cov(per_puzzle, rowvar=False)) * (1 / count + 1 / len(per_puzzle))
    values, vectors = np.linalg.eigh(covariance)
    good = values > 1e-9 * max(values.max(), 1e-300)
    if not good.any():
        return 1.0 if np.allclose(difference, 0) else 0.0
    # Directions in which nothing varies (a puzzle's total) must agree exactly.
    if not np.allclose(vectors[:, ~good].T @ difference, 0, atol=1e-6):
        return 0.0
    score = float((((vectors[:, good].T @ difference) ** 2) / values[good]).sum())
    return float(stats.chi2.sf(score, int(good.sum())))


def holm(p_values: dict[str, float]) -> list[str]:
    """Names of the tables that Holm's procedure rejects at ALPHA."""
    rejected = []
    for rank, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        if p > ALPHA / (len(p_values) - rank):
            break
        rejected.append(f"{name}: p = {p:.2g}")
    return rejected


def rule_tables(puzzles: PuzzleArrays) -> tuple[dict[str, Counter[str]], dict[str, Counter[str]]]:
    """Counts of rules and of parameters, by component and slot."""
    rules: dict[str, Counter[str]] = {}
    parameters: dict[str, Counter[str]] = {}
    for c, arrays in enumerate(puzzles.components):
        for k, slot in enumerate(RULE_SLOTS):
            rules[f"{c}|{slot}"], parameters[f"{c}|{slot}"] = Counter(), Counter()
            triples = np.stack([arrays.rules[:, k], arrays.governed, arrays.parameters[:, k]], axis=1)
            for (rule, governed, parameter), count in zip(*np.unique(triples, axis=0, return_counts=True), strict=True):
                attribute = GOVERNED[governed] if k == 0 else slot
                rules[f"{c}|{slot}"][f"{c}|{attribute}|{RULE_NAMES[rule]}"] += int(count)
                if attribute != "Position" and RULE_NAMES[rule] in ("Progression", "Arithmetic"):
                    text = ("+" if parameter > 0 else "-") if RULE_NAMES[rule] == "Arithmetic" else str(parameter)
                    parameters[f"{c}|{slot}"][f"{c}|{attribute}|{RULE_NAMES[rule]}|{text}"] += int(count)
    return rules, parameters


def slot_of(key: str) -> str:
    """Number|..., Position|... and Number/Position|... share a slot."""
    component, attribute, *_ = key.split("|")
    return f"{component}|{'Number/Position' if attribute in GOVERNED else attribute}"


def compare_rules(name: str, puzzles: PuzzleArrays, reference: dict[str, Any], found: dict[str, float]) -> None:
    rules, parameters = rule_tables(puzzles)
    n = reference["n"]
    for label, ours, theirs in (
        ("rules", rules, reference["rules"]),
        ("parameters", parameters, reference["rule_params"]),
    ):
        for slot, counts in ours.items():
            table = {key: round(p * n) for key, p in theirs.items() if slot_of(key) == slot}
            if label == "parameters":
                counts = counts + Counter({"none": len(puzzles) - sum(counts.values())})
                table["none"] = n - sum(table.values())
            found[f"{name} {label} {slot}"] = homogeneity(counts, table)


def histogram(levels: np.ndarray, size: int) -> np.ndarray:
    """(N, size): how often each level occurs in a puzzle; levels (N, ...), negative ones ignored."""
    flat = levels.reshape(len(levels), -1)
    return np.stack([(flat == v).sum(axis=1) for v in range(size)], axis=1)


def compare_values(name: str, puzzles: PuzzleArrays, reference: dict[str, Any], found: dict[str, float]) -> None:
    full = puzzles.complete()
    for c, arrays in enumerate(full.components):
        slots = np.where(arrays.exists, np.arange(arrays.slots), -1)
        for attribute, levels in {**arrays.attributes, "Number": arrays.numbers, "Position": slots}.items():
            theirs = reference["values"][f"{c}|{attribute}"]
            size = 1 + max(max(map(int, theirs)), int(levels.max()))
            counts = np.array([theirs.get(str(v), 0) for v in range(size)], dtype=float)
            found[f"{name} values {c}|{attribute}"] = wald(histogram(levels, size), counts, reference["n"])
        theirs = {k: v / 9 for k, v in reference["uniformity_level"].items() if k.startswith(f"{c}|")}
        levels, counts = np.unique(arrays.uniformity[:, 0], return_counts=True)
        ours = {f"{c}|{level}": int(count) for level, count in zip(levels, counts, strict=True)}
        found[f"{name} uniformity {c}"] = homogeneity(ours, theirs)


def compare_targets(name: str, target: np.ndarray, reference: dict[str, Any], found: dict[str, float]) -> None:
    ours = {str(k): int((target == k).sum()) for k in range(8)}
    found[f"{name} target"] = homogeneity(ours, reference["target_hist"])


def compare_joint(name: str, puzzles: PuzzleArrays, tables: dict[str, Any], found: dict[str, float]) -> None:
    full = puzzles.complete()
    for key, table in tables.items():
        component, attribute, rule = key.split("|")
        arrays = full.components[int(component)]
        k = 0 if attribute in GOVERNED else RULE_SLOTS.index(attribute)
        chosen = arrays.rules[:, k] == RULE_NAMES.index(rule)
        if k == 0:
            chosen &= arrays.governed == GOVERNED.index(attribute)
            row = arrays.numbers[chosen][:, :3]
        else:
            row = panel_values(full, int(component), attribute)[chosen][:, :3]
        mixed = (row < 0).any(axis=1)
        first, step = row[~mixed, 0], row[~mixed, 1] - row[~mixed, 0]
        for label, values in (("first", first), ("step", step)):
            counts = Counter(map(str, values.tolist()))
            found[f"{name} {label} {key}"] = homogeneity(counts, table[label])
        if "mixed_panels" in table:
            ours = {"mixed": int(mixed.sum()), "not": int((~mixed).sum())}
            theirs = {"mixed": table["mixed_panels"], "not": table["n"] - table["mixed_panels"]}
            found[f"{name} mixed {key}"] = homogeneity(ours, theirs)


def compare_trees(name: str, puzzles: PuzzleArrays, reference: dict[str, Any], found: dict[str, float]) -> None:
    n, modified = reference["n"], puzzles.modified
    used = modified.any(axis=1)
    sizes = Counter(map(str, used.sum(axis=(1, 2)).tolist()))
    theirs = {k: round(v * n) for k, v in reference["n_selected_attrs"].items()}
    found[f"{name} selected"] = homogeneity(sizes, theirs)
    counts = np.sort(modified.sum(axis=(2, 3)), axis=1)[:, 1:]  # without the answer's zero
    patterns = Counter(str(row) for row in counts.tolist())
    found[f"{name} pattern"] = homogeneity(patterns, reference["modified_pattern"])
    for c in range(used.shape[1]):
        for k, attribute in enumerate(MODIFIABLE):
            ours = int(used[:, c, k].sum())
            other = round(reference["modified_attr"].get(f"{c}|{attribute}", 0) * n)
            if ours or other:
                found[f"{name} modified {c}|{attribute}"] = homogeneity(
                    {"yes": ours, "no": len(puzzles) - ours}, {"yes": other, "no": n - other}
                )


def value_distances(puzzles: PuzzleArrays) -> np.ndarray:
    """(N, 7) sorted: in how many (component, attribute) a distractor of single entities differs from the answer."""
    total = np.zeros((len(puzzles), 8), dtype=np.int64)
    rows, answer = np.arange(len(puzzles)), puzzles.context + puzzles.target.astype(np.int64)
    for arrays in puzzles.components:
        for name in ("Type", "Size", "Color"):
            levels = arrays.attributes[name][:, :, 0]
            total += levels[:, puzzles.context :] != levels[rows, answer][:, None]
    return np.sort(total, axis=1)[:, 1:]


def test_iraven_is_distributed_as_the_original(reference_statistics: Any, reference_joint: Any) -> None:
    found: dict[str, float] = {}
    for constellation, table in reference_statistics["I_RAVEN"].items():
        puzzles = datasets.generate("iraven", constellation, n=N, seed=SEED)
        compare_rules(constellation, puzzles, table, found)
        compare_values(constellation, puzzles, table, found)
        compare_targets(constellation, puzzles.target, table, found)
        compare_trees(constellation, puzzles, table, found)
        compare_joint(constellation, puzzles, reference_joint["tables"][constellation], found)
    assert len(found) > 300
    assert holm(found) == []


def test_raven_is_distributed_as_the_original(reference_statistics: Any) -> None:
    found: dict[str, float] = {}
    for constellation, table in reference_statistics["RAVEN"].items():
        puzzles = datasets.generate("raven", constellation, n=N, seed=SEED)
        compare_rules(constellation, puzzles, table, found)
        compare_values(constellation, puzzles, table, found)
        compare_targets(constellation, puzzles.target, table, found)
    assert len(found) > 100
    assert holm(found) == []


def test_distances_of_single_shapes_are_those_of_the_original(reference_statistics: Any) -> None:
    for name, key in (("iraven", "I_RAVEN"), ("raven", "RAVEN")):
        for constellation, table in reference_statistics[key].items():
            if "distribute" in constellation:
                continue
            puzzles = datasets.generate(name, constellation, n=2_000, seed=SEED)
            patterns = {str(row) for row in value_distances(puzzles).tolist()}
            assert patterns == set(table["diff_pattern_answer"]), (name, constellation)


def grid_distances(puzzles: PuzzleArrays) -> np.ndarray:
    """(N, 8, 8): in how many (component, attribute) two candidates differ, as the reference tables count.

    The set of slots is one attribute. Of panels with as many entities the levels are compared; of panels with more and
    fewer, whether one's levels occur in the other. Two candidates differ in something: entities that only changed
    places, which the tables' order of entities tells apart, count as one.
    """
    total = np.zeros((len(puzzles), 8, 8), dtype=np.int64)
    for arrays in puzzles.components:
        exists = arrays.exists[:, puzzles.context :]
        number = exists.sum(axis=2)
        as_many = number[:, :, None] == number[:, None]
        if arrays.slots > 1:
            total += (exists[:, :, None] != exists[:, None]).any(axis=3)
        for name in ("Type", "Size", "Color"):
            levels = np.where(exists, arrays.attributes[name][:, puzzles.context :], -1)
            ordered = np.sort(levels, axis=2)
            bits = np.bitwise_or.reduce(np.where(exists, 1 << np.maximum(levels, 0).astype(np.int64), 0), axis=2)
            shared = bits[:, :, None] & bits[:, None]
            within = (shared == bits[:, :, None]) | (shared == bits[:, None])
            equal = (ordered[:, :, None] == ordered[:, None]).all(axis=3)
            total += ~np.where(as_many, equal, within)
    return np.where(np.eye(8, dtype=bool), 0, np.maximum(total, 1))


def test_distances_between_candidates_are_those_of_the_original(reference_statistics: Any) -> None:
    """Of the answer and of distractors among themselves, in grids; ours 20,000 puzzles, theirs 500 (I-RAVEN 2,000)."""
    found: dict[str, float] = {}
    for name, key in (("raven", "RAVEN"), ("iraven", "I_RAVEN")):
        for constellation in ("distribute_four", "distribute_nine", "in_distribute_four_out_center_single"):
            table = reference_statistics[key][constellation]
            puzzles = datasets.generate(name, constellation, n=N, seed=SEED)
            distances = grid_distances(puzzles)
            answer = np.arange(8) == puzzles.target[:, None]
            among = np.triu(~(answer[:, :, None] | answer[:, None]), 1)
            chosen = {
                "diff_answer_distractor": distances[np.arange(N), puzzles.target.astype(np.int64)],
                "diff_distractor_pairs": distances[among].reshape(N, 21),
            }
            for which, values in chosen.items():
                size = 1 + max(max(map(int, table[which])), int(values.max()))
                counts = np.array([table[which].get(str(v), 0) for v in range(1, size)], dtype=float)
                found[f"{name} {constellation} {which}"] = wald(histogram(values, size)[:, 1:], counts, table["n"])
    assert holm(found) == []


def layout_changes(puzzles: PuzzleArrays) -> dict[str, Counter[str]]:
    """How many candidates of a puzzle hold another number of entities, and how many the same number elsewhere."""
    arrays = puzzles.components[-1]
    rows, answer = np.arange(len(puzzles)), puzzles.context + puzzles.target.astype(np.int64)
    exists = arrays.exists[:, puzzles.context :]
    other = arrays.numbers[:, puzzles.context :] != arrays.numbers[rows, answer][:, None]
    moved = (exists != arrays.exists[rows, answer][:, None]).any(axis=2) & ~other
    return {"Number": Counter(map(str, other.sum(axis=1))), "Position": Counter(map(str, moved.sum(axis=1)))}


def test_layouts_change_in_raven_as_in_the_reference_puzzles(reference: Path) -> None:
    """Ours 20,000; theirs 10 (I-RAVEN 30) puzzles per grid."""
    found: dict[str, float] = {}
    for folder, name in (("RAVEN", "raven"), ("I-RAVEN", "iraven")):
        theirs = datasets.read(reference / folder)
        for constellation in ("distribute_four", "distribute_nine", "in_distribute_four_out_center_single"):
            other = layout_changes(theirs[constellation])
            for key, ours in layout_changes(datasets.generate(name, constellation, n=N, seed=SEED)).items():
                found[f"{name} {constellation} {key}"] = homogeneity(ours, other[key])
    assert holm(found) == []


def inferred_signs(puzzles: PuzzleArrays, k: int) -> Counter[str]:
    """As the reference tables have it: a matrix that is a sum counts as +, else as -."""
    n = puzzles.columns
    full = puzzles.complete().components[0]
    name = RULE_SLOTS[k]
    matrix = full.attributes[name][full.rules[:, k] == RULE_NAMES.index("Arithmetic")].reshape(-1, n, n)
    plus = (matrix[:, :, :-1].sum(axis=2) == matrix[:, :, -1]).all(axis=1)
    return Counter({f"{name}|+": int(plus.sum()), f"{name}|-": int((~plus).sum())})


def test_iraven_x_is_distributed_as_the_original(reference_statistics: Any) -> None:
    found: dict[str, float] = {}
    for key in ("n3_maxval10", "n10_maxval100", "n10_maxval1000"):
        table = reference_statistics["I_RAVEN_X"][key]
        n = table["n"]
        puzzles = datasets.generate("iraven_x", n=N, seed=SEED, columns=table["size"], maxval=table["maxval"])
        arrays = puzzles.components[0]
        compare_targets(key, puzzles.target, table, found)
        reached = np.zeros(N, dtype=np.int64)
        for k, name in enumerate(RULE_SLOTS[1:], start=1):
            families = arrays.rules[:, k]
            ours = Counter({f"{name}|{rule}": int((families == r).sum()) for r, rule in enumerate(RULE_NAMES)})
            theirs = {rule: round(p * n) for rule, p in table["rules"].items() if rule.startswith(name)}
            found[f"{key} rules {name}"] = homogeneity(ours, theirs)
            steps = arrays.parameters[families == RULE_NAMES.index("Progression"), k]
            other = {s: v for s, v in table["progression"].items() if s.startswith(name)}
            found[f"{key} steps {name}"] = homogeneity(Counter(f"{name}|{s}" for s in steps.tolist()), other)
            shifts = arrays.parameters[families == RULE_NAMES.index("Distribute_Three"), k]
            other = {s: v for s, v in table["distribute"].items() if s.startswith(name)}
            found[f"{key} shifts {name}"] = homogeneity(Counter(f"{name}|roll{s:+d}" for s in shifts.tolist()), other)
            if name != "Type":
                other = {s: v for s, v in table["arithmetic"].items() if s.startswith(name)}
                found[f"{key} signs {name}"] = homogeneity(inferred_signs(puzzles, k), other)
        for name in ("Type", "Size", "Color", "Angle"):
            levels = arrays.attributes[name][:, :, 0].astype(np.int64)
            if "hist" in table:
                counts = np.array([table["hist"][name].get(str(v), 0) for v in range(table["maxval"] + 1)], dtype=float)
                found[f"{key} values {name}"] = wald(histogram(levels, table["maxval"] + 1), counts, n)
            total = np.array([table["values"][name]["mean"] * n])
            found[f"{key} mean {name}"] = wald(levels.mean(axis=1, keepdims=True), total, n)
            if name != "Angle":
                grids = puzzles.complete().components[0].attributes[name]
                reached += (grids == table["maxval"]).any(axis=(1, 2))
        other = table["puzzle_attr_with_value_eq_maxval"]
        found[f"{key} attributes that reach maxval"] = homogeneity(
            {"yes": int(reached.sum()), "no": 3 * N - int(reached.sum())}, {"yes": other, "no": 3 * n - other}
        )
        assert {str(row) for row in value_distances(puzzles).tolist()} == set(table["pattern"])
    assert holm(found) == []


def test_the_tests_have_teeth(reference_statistics: Any) -> None:
    """A wrong sampler is caught: 3x3's rules against 2x2's tables, and one Size a fifth too frequent."""
    table = reference_statistics["I_RAVEN"]["distribute_four"]
    puzzles = datasets.generate("iraven", "distribute_nine", n=4_000, seed=SEED)
    found: dict[str, float] = {}
    compare_rules("wrong", puzzles, table, found)
    assert holm(found)
    puzzles = datasets.generate("iraven", "distribute_four", n=4_000, seed=SEED)
    counts = histogram(puzzles.complete().components[0].attributes["Size"], 6)
    theirs = np.array([table["values"]["0|Size"][str(v)] for v in range(6)], dtype=float)
    assert wald(counts, theirs, table["n"]) > 1e-3
    assert wald(counts, theirs * [1.2, 1, 1, 1, 1, 1], table["n"]) < 1e-6
