"""An xml file as a tree, without trust: no document types, no entities, nothing from elsewhere, no endless files.

Expat's events build the tree directly. The standard library's parser can't be told to refuse a document type, and a
parser in Python that can takes three times as long; xml is most of what reading puzzles costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from vsa.errors import CorruptFileError, VSAError

from .form import clipped

__all__ = ["parse_xml"]

_MOST_BYTES = 1 << 22  # the published files have 5 to 130 kB


class _Refused(ValueError):
    """What plain xml has not."""


def parse_xml(path: Path) -> Element:
    """The elements of a file and their attributes; text between elements is left out.

    Args:
        path: the file.

    Returns:
        The outermost element.

    Raises:
        CorruptFileError: it is no xml, has a document type or entities, or is too long to be a puzzle.
        VSAError: it can't be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        raise VSAError("read puzzles", received=f"{path}, which does not exist", expected="the xml of an npz") from None
    except OSError as error:
        raise VSAError(f"read {path}", received=error.strerror, expected="a file that may be read") from error
    if len(data) > _MOST_BYTES:
        raise CorruptFileError(f"read {path}", received=f"over {_MOST_BYTES} bytes", expected="the xml of one puzzle")
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = _refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except _Refused:
        raise CorruptFileError(
            f"read {path}", received="xml with a document type or entities", expected="plain xml"
        ) from None
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise CorruptFileError(
            f"read {path}",
            received=f"xml that breaks ({clipped(error)})",
            expected="whole xml",
            hint="copy or make it again",
        ) from None


def _refuse(*_: object) -> NoReturn:
    raise _Refused
