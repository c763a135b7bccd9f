"""Modules, arrows, floors and circles of each room, counted from the imports: ``python tests/house.py [ROOT]``.

An arrow is an import of one of our modules by another, lazy ones included and those for the type checker left out. A
module's floor is the longest way down from it; modules of a circle share one.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOMS = ("vsa", "factorizers", "datasets", "reasoning")


def names(root: Path) -> dict[str, Path]:
    """Module -> file; packages by their ``__init__``."""
    found = {}
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def arrows(root: Path) -> dict[str, set[str]]:
    """Module -> our modules that it imports."""
    known = names(root)
    found: dict[str, set[str]] = {}
    for module, path in known.items():
        found[module] = {target for target in _imports(path, module, known) if target != module}
    return found


def _imports(path: Path, module: str, known: dict[str, Path]) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typed = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    home = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if node in typed:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = ".".join(home.split(".")[: len(home.split(".")) - node.level + 1])
                base = f"{above}.{base}" if base else above
            for alias in node.names:
                full = f"{base}.{alias.name}"
                if full in known:
                    yield full
                elif base in known:
                    yield base


def circles(found: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, directly or by way of others (Tarjan's components)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for target in found[module]:
            if target not in index:
                visit(target)
                low[module] = min(low[module], low[target])
            elif target in stack:
                low[module] = min(low[module], index[target])
        if low[module] == index[module]:
            cut = stack.index(module)
            groups.append(sorted(stack[cut:]))
            del stack[cut:]

    sys.setrecursionlimit(10_000)
    for module in found:
        if module not in index:
            visit(module)
    return [group for group in groups if len(group) > 1]


def floors(found: dict[str, set[str]]) -> dict[str, int]:
    """Module -> its floor, from 0."""
    of = {module: tuple(group) for group in circles(found) for module in group}

    @cache
    def floor(group: tuple[str, ...]) -> int:
        below = {of.get(t, (t,)) for module in group for t in found[module]} - {group}
        return 1 + max((floor(other) for other in below), default=-1)

    return {module: floor(of.get(module, (module,))) for module in found}


def table(root: Path) -> str:
    """The counts, a line for each room."""
    found = arrows(root)
    lines = ["| room | modules | largest folder | floors | arrows inside | circles |", "|---|---|---|---|---|---|"]
    for room in ROOMS:
        inside = {m: {t for t in ts if t.split(".")[0] == room} for m, ts in found.items() if m.split(".")[0] == room}
        folders: dict[str, int] = {}
        for module, path in names(root).items():
            if module in inside and path.name != "__init__.py":
                folders[module.rpartition(".")[0]] = folders.get(module.rpartition(".")[0], 0) + 1
        largest = max(folders, key=folders.__getitem__)
        count = sum(map(len, inside.values()))
        lines.append(
            f"| {room} | {len(inside)} | {folders[largest]} ({largest}) | {1 + max(floors(inside).values())} | {count} "
            f"| {len(circles(inside))} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    top = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1])
    sys.stdout.write(table(top) + "\n")
    for group in circles(arrows(top)):
        sys.stdout.write(f"circle: {', '.join(group)}\n")
