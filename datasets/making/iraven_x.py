"""I-RAVEN-X: single shapes, n columns, values up to any range, confounding attributes.

Reference:
    Hersche et al. 2024, "Towards Learning Abductive Reasoning using VSA Distributed Representations"; Camposampiero et
    al. 2025, "I-RAVEN-X: Benchmarking Generalization and Robustness of Analogical and Mathematical Reasoning in Large
    Language and Reasoning Models" (confounders).
"""

from __future__ import annotations

import numpy as np

from vsa.errors import VSAError

from ..arrays import CANDIDATES, GOVERNED, MODIFIABLE, RULE_SLOTS, ComponentArrays, PuzzleArrays
from ..attributes import ENTITY_ATTRIBUTES
from ..data_sets import DATA_SETS, DataSet
from ..rules.base import Rule
from ..rules.domains import Bools
from ..streams import Ints, Stream

__all__ = ["MAX_CONFOUNDERS", "generate_iraven_x"]

MAX_CONFOUNDERS = 300
_WORDS = 1 << 21  # attribute values per chunk


def generate_iraven_x(
    data: DataSet, constellation: str, index: np.ndarray, seed: int, *, columns: int, maxval: int, confounders: int
) -> PuzzleArrays:
    """Makes puzzles of a single shape per panel.

    Args:
        data: the data set, for its name and its rules.
        constellation: center_single.
        index: int64 (N,), which puzzles of the seed's sequence.
        seed: the run's seed.
        columns: n >= 3; the matrix has n rows too.
        maxval: values are 0 .. maxval - 1; only a rule that says so reaches maxval, as Distribute Three does.
        confounders: how many attributes without any rule, 0 .. 300.

    Returns:
        The puzzles, each depending on (seed, columns, maxval, its index) alone: confounders do not change the rest.

    Raises:
        VSAError: the settings leave no room for a rule.
    """
    if columns < 3:
        raise VSAError(f"generate {data.name}", received=f"columns={columns}", expected="at least 3")
    if not 2 * columns - 1 <= maxval <= 32766:
        raise VSAError(
            f"generate {data.name}",
            received=f"maxval={maxval} with columns={columns}",
            expected=f"{2 * columns - 1} .. 32766",
            hint="a progression by 2 must fit into a row",
        )
    if not 0 <= confounders <= MAX_CONFOUNDERS:
        raise VSAError(
            f"generate {data.name}", received=f"confounders={confounders}", expected=f"0 .. {MAX_CONFOUNDERS}"
        )
    chunk = max(1, _WORDS // ((columns * columns + 7) * (4 + confounders)))
    if len(index) > chunk:
        parts = [index[k : k + chunk] for k in range(0, len(index), chunk)]
        extent = {"columns": columns, "maxval": maxval, "confounders": confounders}
        return PuzzleArrays.concatenate(
            [generate_iraven_x(data, constellation, part, seed, **extent) for part in parts]
        )

    n, panels = len(index), columns * columns + 7
    stream = Stream(seed, (data.name, columns, maxval), index)
    grammar = data.grammar
    still = next(rule for rule in grammar if RULE_SLOTS[0] in rule.governs)  # a single shape stays where it is
    rules = np.full((n, len(RULE_SLOTS)), still.code, dtype=np.int8)
    parameters = np.zeros((n, len(RULE_SLOTS)), dtype=np.int16)
    matrices = []
    for k, attribute in enumerate(ENTITY_ATTRIBUTES, start=1):
        families = _possible(grammar, attribute.name, columns, maxval)
        pick = stream.below(len(families))
        matrix = np.empty((n, columns, columns), dtype=np.int64)
        for choice, (rule, possible) in enumerate(families):
            rows = np.flatnonzero(pick == choice)
            if len(rows):
                parameter = np.asarray(possible)[stream.below(len(possible), rows=rows)]
                matrix[rows] = rule.draw_wide(stream, maxval, parameter, rows, columns)
                rules[rows, k], parameters[rows, k] = rule.code, parameter
        matrices.append(matrix)
    values = np.stack(matrices, axis=1)
    changed = _alternatives(stream, values, maxval)
    order = stream.permutations(CANDIDATES)
    bits = (order[:, :, None] >> np.arange(3)) & 1 == 1  # (N, 8, 3): which attributes a candidate changes

    attributes: dict[str, np.ndarray] = {}
    for k, attribute in enumerate(ENTITY_ATTRIBUTES):
        flat = values[:, k].reshape(n, -1)
        candidates = np.where(bits[:, :, k], changed[:, k : k + 1], flat[:, -1:])
        attributes[attribute.name] = np.concatenate([flat[:, :-1], candidates], axis=1)[..., None].astype(np.int16)
    for name in ("Angle", *(f"Confounder{k}" for k in range(confounders))):
        attributes[name] = stream.below(maxval, panels, 1).astype(np.int16)
    modified = np.zeros((n, CANDIDATES, 1, len(MODIFIABLE)), dtype=np.bool_)
    modified[:, :, 0, MODIFIABLE.index("Type") :] = bits
    component = ComponentArrays(
        exists=np.ones((n, panels, 1), dtype=np.bool_),
        attributes=attributes,
        uniformity=None,
        rules=rules,
        governed=np.full(n, GOVERNED.index("Number/Position"), dtype=np.int8),
        parameters=parameters,
    )
    return PuzzleArrays(
        dataset=data.name,
        constellation=constellation,
        columns=columns,
        maxval=maxval,
        components=(component,),
        target=np.argmin(order, axis=1).astype(np.int8),
        index=np.asarray(index, dtype=np.int64),
        modified=modified,
    )


def _possible(
    grammar: tuple[Rule, ...], attribute: str, columns: int, maxval: int
) -> list[tuple[Rule, tuple[int, ...]]]:
    """The rules of an attribute with those of their parameters that leave room for a row."""
    found = []
    for rule in grammar:
        ranges = {p: rule.first_range(0, rule.top(maxval), p, columns) for p in rule.parameters}
        parameters = tuple(p for p, (low, high) in ranges.items() if low <= high)
        if attribute in rule.governs and parameters:
            found.append((rule, parameters))
    if not found:
        raise VSAError(
            f"draw a rule of {attribute}",
            received=f"rules {', '.join(rule.name for rule in grammar)} with columns={columns}, maxval={maxval}",
            expected="a rule that governs it and leaves room",
        )
    return found


def _alternatives(stream: Stream, values: Ints, maxval: int) -> Ints:
    """One wrong value per attribute, (N, 3): any value that occurs anywhere in the matrix, all equally likely.

    Values are (N, 3, n, n). With few panels the matrix may hold a single value: then any other value will do.
    """
    n = len(values)
    flat = np.sort(values.reshape(n, -1), axis=1)
    distinct = np.ones(flat.shape, dtype=np.bool_)
    distinct[:, 1:] = flat[:, 1:] != flat[:, :-1]
    wrong = np.empty((n, 3), dtype=np.int64)
    for k in range(3):
        answer = values[:, k, -1, -1]
        allowed: Bools = distinct & (flat != answer[:, None])
        count = allowed.sum(axis=1)
        pick = stream.below(np.maximum(count, 1))
        place = np.argmax(np.cumsum(allowed, axis=1) > pick[:, None], axis=1)
        other = stream.below(maxval - 1)
        wrong[:, k] = np.where(count > 0, flat[np.arange(n), place], other + (other >= answer))
    return wrong


DATA_SETS.register("iraven_x")(
    DataSet(
        "iraven_x",
        generate_iraven_x,
        constellations=("center_single",),
        columns=10,
        maxval=1000,
        tree=True,
        usual="center_single",
        label="I-RAVEN-X",
    )
)
