"""An xml file as a tree, without trust: no document types, no entities, nothing from elsewhere, no endless files.

Expat's events build the tree directly. The standard library's parser can't be told to refuse a document type, and a
parser in Python that can takes three times as long; xml is most of what reading puzzles costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from vsa.errors import CorruptFileError

from .form import clipped

__all__ = ["MOST_XML_BYTES", "parse_xml"]

MOST_XML_BYTES = 1 << 22  # the published files have 5 to 130 kB
_MOST_TAGS = 1 << 14  # they have some hundreds: bounds the depth, too


class _Refused(ValueError):
    """What plain xml has not."""


def parse_xml(data: bytes, path: Path) -> Element:
    """The elements of a file and their attributes; text between elements is left out.

    Args:
        data: its content, at most :data:`MOST_XML_BYTES`.
        path: where it is from, for the sentence.

    Returns:
        The outermost element.

    Raises:
        CorruptFileError: it is no xml, has a document type or entities, or is too long to be a puzzle.
    """
    if data.count(b"<") > _MOST_TAGS:
        raise CorruptFileError(f"read {path}", received=f"over {_MOST_TAGS} tags", expected="the xml of one puzzle")
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
