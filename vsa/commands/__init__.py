"""What every command shares: finding and composing settings, the command line, exit codes, the screen.

hydra and rich load when they are needed, so that this room loads with the standard library alone.
"""

from . import schema
from .arguments import named_keys, parse, quoted, value_of
from .composing import compose, composing, constructor_defaults, flatten, resolved, settle
from .files import WriteError, alone, is_stray, sweep, taking_apart, write_together, write_whole
from .folders import OURS, conf_files, conf_folder, reference_file
from .grids import Grid
from .parts import compose_with_parts
from .running import INTERRUPTED, MISTAKE, TERMINATED, StoppedError, run_command
from .screen import Bar, complain, configure_logging, progress, say, show, silence

__all__ = [
    "INTERRUPTED",
    "MISTAKE",
    "OURS",
    "TERMINATED",
    "Bar",
    "Grid",
    "StoppedError",
    "WriteError",
    "alone",
    "complain",
    "compose",
    "compose_with_parts",
    "composing",
    "conf_files",
    "conf_folder",
    "configure_logging",
    "constructor_defaults",
    "flatten",
    "is_stray",
    "named_keys",
    "parse",
    "progress",
    "quoted",
    "reference_file",
    "resolved",
    "run_command",
    "say",
    "schema",
    "settle",
    "show",
    "silence",
    "sweep",
    "taking_apart",
    "value_of",
    "write_together",
    "write_whole",
]
