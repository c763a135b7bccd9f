"""How a command runs: its help, its settings, its exit code; mistakes of the user as a sentence."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import VSAError
from ..plugins import offered_words
from . import screen

__all__ = ["INTERRUPTED", "MISTAKE", "TERMINATED", "StoppedError", "run_command"]

MISTAKE = 2  # exit code of a mistake of the user
INTERRUPTED = 130  # exit code after Ctrl-C, as shells have it
_SHOWN = 120  # characters of a file's name that a sentence repeats
TERMINATED = 143  # after SIGTERM, likewise


class StoppedError(BaseException):
    """The program was asked to stop from outside, and says what it kept.

    Args:
        words: a sentence for the user.
        code: exit code.
    """

    def __init__(self, words: str, code: int = TERMINATED) -> None:
        super().__init__(words, code)
        self.words, self.code = words, code


def run_command(
    main: Callable[[list[str]], int | None],
    arguments: Sequence[str] | None = None,
    usage: str = "",
    *,
    settings: Callable[[list[str]], Mapping[str, Any]] | None = None,
    members: Sequence[str] = (),
    after_interruption: str = "the same command goes on where it stopped",
) -> int:
    """Run a command: mistakes of the user give a sentence on stderr and exit code 2, bugs give a traceback.

    Args:
        main: takes the overrides.
        arguments: the command line; by default that of the process. ``--debug`` (or HYDRA_FULL_ERROR=1) shows the
            traceback of mistakes too, ``--help`` prints ``usage``, ``--version`` the version, ``--cfg`` the settings.
        usage: the help text.
        settings: the plain settings that overrides give, for ``--cfg``.
        members: registries whose members from other packages ``--help`` names, such as ``algebras``.
        after_interruption: what the user can do then.

    Returns:
        The exit code.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given or os.environ.get("HYDRA_FULL_ERROR", "0") not in ("", "0")
    given = [argument for argument in given if argument != "--debug"]
    screen.configure_logging(logging.DEBUG if debug else logging.INFO)
    if {"-h", "--help"} & set(given):
        screen.say("\n\n".join(filter(None, (usage, offered_words(*members)))))
        return 0
    if "--version" in given:
        screen.say(_version())
        return 0
    try:
        if settings is not None and "--cfg" in given:
            screen.say(_as_yaml(settings([argument for argument in given if argument != "--cfg"])))
            return 0
        return main(given) or 0
    except VSAError as error:
        if debug:
            raise
        screen.complain(str(error))
        return MISTAKE
    except OSError as error:
        if debug:
            raise
        about = "" if error.filename is None else f": {str(error.filename)[:_SHOWN]!r}"
        screen.complain(f"the system's refusal: {error.strerror or error}{about}")
        return MISTAKE
    except (MemoryError, RuntimeError) as error:
        if debug or not (isinstance(error, MemoryError) or "can't allocate memory" in str(error)):
            raise
        screen.complain("out of memory; choose smaller sizes, smaller batches or fewer workers")
        return MISTAKE
    except StoppedError as stopped:
        screen.complain(stopped.words)
        return stopped.code
    except KeyboardInterrupt:
        screen.complain(f"interrupted; {after_interruption}")
        return INTERRUPTED


def _version() -> str:
    from importlib import metadata

    try:
        return f"vsa-reasoning {metadata.version('vsa-reasoning')}"
    except metadata.PackageNotFoundError:
        return "vsa-reasoning, from a folder that was not installed"


def _as_yaml(settings: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(dict(settings), sort_keys=False))
