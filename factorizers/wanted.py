"""Whether the settings of ``python -m factorizers.capacity`` make sense, before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import vsa
from vsa import SettingsError

__all__ = ["SWEPT", "check_settings"]

SWEPT = ("dim", "factors", "size", "blocks", "noise", "seed")  # settings that may be lists
PICTURES = (".png", ".pdf", ".svg")
_COUNTS = ("dim", "factors", "size", "blocks", "queries", "draws", "threads")


def check_settings(settings: Mapping[str, Any]) -> None:
    """Refuse values of a wrong type.

    Args:
        settings: as composed.

    Raises:
        SettingsError: a value that makes no sense.
    """
    for key in (*_COUNTS, "seed"):
        for value in _values(settings, key):
            if isinstance(value, bool) or not isinstance(value, int) or (value < 1 and key != "seed"):
                _refuse(key, value, f"{'an' if key == 'seed' else 'a positive'} integer", key in SWEPT)
    for value in _values(settings, "noise"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise SettingsError("setting noise", received=repr(value), expected="a level that is not negative")
    for key, value in settings["factorizer"].items():
        if value == []:
            _refuse(f"factorizer.{key}", value, "a value, or a list of some")
    for key in ("algebra_name", "damage", "executor"):
        if not isinstance(settings[key], str) and not (key == "algebra_name" and settings[key] is None):
            _refuse(key.removesuffix("_name"), settings[key], "a name")
    if not isinstance(settings["backend"], Mapping) or "name" not in settings["backend"]:
        _refuse("backend", settings["backend"], "a file of conf/backend, by name")
    if settings["workers"] is not None:
        vsa.validation.check_count("setting", "workers", settings["workers"])
    if not isinstance(settings["algebra_options"], Mapping):
        _refuse("algebra", settings["algebra_options"], "options of the algebra; write algebra.OPTION=VALUE")
    if not isinstance(settings["overwrite"], bool):
        _refuse("overwrite", settings["overwrite"], "true or false")
    if not isinstance(settings["slurm"], Mapping):
        _refuse("slurm", settings["slurm"], "a group; write slurm.partition=NAME")
    for key in ("out", "plot"):
        value = settings[key]
        if value is not None and (not isinstance(value, str) or not value or Path(value).is_dir()):
            _refuse(key, value, "a file's name")
    if settings["plot"] and Path(settings["plot"]).suffix.lower() not in PICTURES:
        _refuse("plot", settings["plot"], f"a file's name that ends in {', '.join(PICTURES)}")


def _values(settings: Mapping[str, Any], key: str) -> list[Any]:
    value = settings[key]
    if value == []:
        _refuse(key, value, "at least one value")
    return value if key in SWEPT and isinstance(value, list) else [value]


def _refuse(key: str, value: object, expected: str, swept: bool = False) -> None:
    raise SettingsError(f"setting {key}", received=repr(value), expected=expected + (", or a list" if swept else ""))
