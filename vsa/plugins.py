"""What other packages offer: entry points of the groups ``vsa_reasoning.<kind>``, read once, imported when asked for.

docs/plugins.md shows such a package.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import VSAError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
    from pathlib import Path

__all__ = ["CONF", "PREFIX", "Offer", "Origin", "offered_words", "offers", "origins"]

PREFIX = "vsa_reasoning."
CONF = f"{PREFIX}conf"


class Origin(NamedTuple):
    """Where a member of another package comes from: what a result that it shaped is recorded with.

    Attributes:
        distribution: name of the installed distribution.
        version: of the distribution.
        code: hash of the Python sources of the package that the entry point names.
    """

    distribution: str
    version: str
    code: str


class Offer:
    """One entry point of another distribution.

    Args:
        entry: as installed.
    """

    def __init__(self, entry: EntryPoint) -> None:
        self._entry = entry
        self.name = entry.name
        self.value = entry.value
        self.kind = entry.group.removeprefix(PREFIX)

    @property
    def distribution(self) -> str:
        """Name and version, for sentences."""
        return " ".join(self._named())

    @property
    def package(self) -> str:
        """The top-level package that the entry point names."""
        return self.value.partition(":")[0].partition(".")[0].strip()

    def load(self) -> Any:
        """Import what the entry point names.

        Returns:
            The object, or the module where it names no object.

        Raises:
            VSAError: it cannot be imported; the cause is the error that was met.
        """
        try:
            return self._entry.load()
        except (Exception, SystemExit) as error:  # whatever a stranger's module does while it is imported
            raise VSAError(
                f"load {self.name!r} of the distribution {self.distribution}",
                received=f"{type(error).__name__} in {self.value}: {error}",
                expected=f"an entry point of the group {self._entry.group} that can be imported",
                hint=f"repair or uninstall {self._named()[0]}; everything else works without it",
            ) from error

    def defines(self, item: object) -> bool:
        """Whether an object comes from the package that the entry point names."""
        module = getattr(item, "__module__", None) or type(item).__module__
        return str(module).partition(".")[0] == self.package

    def origin(self) -> Origin:
        """Distribution, version and code; imports nothing."""
        return Origin(*self._named(), _code(self.package))

    def folder(self) -> Path | None:
        """The folder of the package that the entry point names; None where there is none. Imports nothing."""
        from pathlib import Path

        top, *rest = self.value.partition(":")[0].strip().split(".")
        spec = _spec(top)
        for location in (spec.submodule_search_locations or ()) if spec else ():
            folder = Path(location, *rest)
            if folder.is_dir():
                return folder
        return None

    def _named(self) -> tuple[str, str]:
        distribution = self._entry.dist
        if distribution is None:
            return "?", "?"
        known = distribution.metadata
        name, version = (next(iter(known.get_all(key) or ()), "?") for key in ("Name", "Version"))
        return name, version


def offers(group: str) -> dict[str, tuple[Offer, ...]]:
    """What is offered under a group.

    Args:
        group: such as ``vsa_reasoning.algebras``.

    Returns:
        name -> the entry points that have it, in the order of the names; several where packages clash.
    """
    found: dict[str, list[Offer]] = {}
    for offer in sorted((o for o in _all() if o.kind == group.removeprefix(PREFIX)), key=lambda o: o.name):
        found.setdefault(offer.name, []).append(offer)
    return {name: tuple(part) for name, part in found.items()}


def origins(named: Mapping[str, str | None], options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Whose the members are that shape a result, for its record; nothing is imported.

    Args:
        named: kind, as in the group's name (``learners``) -> member.
        options: of the backend, among which may be the name of a device.

    Returns:
        kind -> name -> distribution, version and code, of other packages' members alone.
    """
    device = (options or {}).get("device")
    device = device.get("name") if isinstance(device, Mapping) else device
    found: dict[str, Any] = {}
    for kind, name in (*named.items(), ("devices", device)):
        offered = offers(PREFIX + kind).get(name) if isinstance(name, str) else None
        if offered:
            found[kind] = {name: offered[0].origin()._asdict()}
    return found


def offered_words(*kinds: str) -> str:
    """What other packages offer, in a sentence for the help of the commands.

    Args:
        kinds: those that a command knows, such as ``learners``.

    Returns:
        The sentence; empty where there is nothing.
    """
    named = [f"{o.kind.removesuffix('s')} {o.name} ({o.distribution})" for o in _all() if o.kind in kinds]
    return f"Other packages offer: {', '.join(sorted(named))}." if named else ""


@lru_cache(maxsize=1)
def _all() -> tuple[Offer, ...]:
    import logging
    from importlib import metadata  # 35 ms, which `import vsa` need not spend

    try:
        entries = metadata.entry_points()
        groups = [group for group in entries.groups if group.startswith(PREFIX)]
        return tuple(Offer(entry) for group in groups for entry in entries.select(group=group))
    except Exception as error:  # a damaged distribution, whosesoever, must not take our own members along
        words = "the entry points of the installed packages cannot be read, so no plug-in is known: %s"
        logging.getLogger(__name__).warning(words, error)
        return ()


def _spec(package: str) -> Any:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None


@lru_cache(maxsize=64)
def _code(package: str) -> str:
    import hashlib
    from pathlib import Path

    digest, spec = hashlib.sha256(), _spec(package)
    if spec is None:
        return "not found"
    roots = [Path(location) for location in spec.submodule_search_locations or ()]
    files = [(path.relative_to(root), path) for root in roots for path in root.rglob("*.py")]
    if not roots and spec.origin:
        files = [(Path(spec.origin).relative_to(Path(spec.origin).parent), Path(spec.origin))]
    for relative, path in sorted(files):
        digest.update(f"{relative.as_posix()}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]
