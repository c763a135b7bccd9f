"""Answers without what says nothing, and their sentences."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

__all__ = ["SHORT", "clean", "sentences"]

_LONGEST = 20_000  # characters of a text that are read, the last ones
_RUNS = re.compile(r"([^\w\s]|\n)\1{2,}")
_BLANKS = re.compile(r"[ \t]{2,}")

_THOUGHTS = r"(?:think(?:ing)?|thoughts?|reasoning|scratch_?pad|analysis|reflection|internal_monologue)"
_THOUGHT = re.compile(rf"<({_THOUGHTS})\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_THOUGHT_END = re.compile(rf"</{_THOUGHTS}\s*>", re.IGNORECASE)
_FINAL_CHANNEL = re.compile(r"<\|channel\|>\s*final\s*<\|message\|>")
_FENCE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
_FONTS = re.compile(
    r"\\(?:text|math|bf|it|rm|sf|tt|large|operatorname|left|right|big"
    r"|displaystyle)[a-z]*(?![a-z])",
    re.IGNORECASE,
)
_HTML = re.compile(r"</?(?:b|i|u|p|br|em|strong|div|span|code|center|pre|h\d|li|ul|ol)\b[^<>]{0,200}>", re.IGNORECASE)
_SPACES = re.compile(r"\\[,;:!> ]|\\q?quad\b|~|\u3000")
_POLITE = re.compile(
    r"(?:\A|(?<=\n)|(?<=[.!?*] ))(?:sure|certainly|of course|great question|absolutely|thank(?:s| you)[^.!?\n]*"
    r"|(?:i )?hope (?:this|that|it)[^.!?\n]*helps?[^.!?\n]*"
    r"|(?:please )?(?:let me know|feel free|don't hesitate)[^.!?\n]*|(?:i'm |i am )?happy to [^.!?\n]*|have a"
    r" [^.!?\n]*|good luck[^.!?\n]*"
    r"|(?:best|kind) (?:regards|wishes)[^.!?\n]*|cheers)(?:[.!?]+(?=\s|$|\*)|(?=\n|$))",
    re.IGNORECASE,
)
SHORT = re.compile(r"\b(?:no|nr|e\.g|i\.e|cf|vs|opt|fig)$", re.IGNORECASE)  # their dots end no sentence


def clean(text: str) -> str:
    """The text without what says nothing: thoughts, polite sentences, fences, fonts, kinds of digits and of colons.

    Args:
        text: any text.

    Returns:
        A text whose digits, brackets and colons are those of ASCII.
    """
    text = text.replace("\boxed", "\\boxed").replace("\r\n", "\n").replace("\r", "\n")
    text = unicodedata.normalize("NFKC", text)
    text = "".join(map(_plain, text))
    text = _THOUGHT.sub("\n", text)
    ends = list(_THOUGHT_END.finditer(text))
    text = text[ends[-1].end() :] if ends else text  # some models leave the opening tag to the template
    channels = list(_FINAL_CHANNEL.finditer(text))
    text = text[channels[-1].end() :] if channels else text
    text = _RUNS.sub(r"\1\1", _BLANKS.sub(" ", text[-_LONGEST:]))
    text = _SPACES.sub(" ", _FONTS.sub("", _FENCE.sub("", _HTML.sub("", text))))
    return _POLITE.sub("", text)


def _plain(sign: str) -> str:
    """One character in its plain form; none for what is not seen."""
    if sign < "\x80":
        return sign if sign in "\n\t" or sign >= " " else " "
    kind = unicodedata.category(sign)
    if kind == "Nd":
        return str(unicodedata.decimal(sign))
    if kind in ("Cf", "Cs", "Me") or sign in "\ufe0f\ufe0e":
        return ""
    return {
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "«": '"',
        "»": '"',
        "：": ":",
        "。": ". ",
        "−": "-",
        "、": ", ",
        "【": "[",
        "】": "]",
    }.get(sign, " " if kind in ("Zs", "Zl", "Zp", "Cc") else sign)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """The sentences of a text, none longer than its line, and where they begin."""
    start = 0
    for found in re.finditer(r"[.!?;](?=[\s*_`\"')\]]*(?:\s|$))[*_`\"')\]]*|\n+", text):
        part = text[start : found.end()]
        # "1." at the start of a line numbers what follows, and the dots of "No. 5", "e.g. 5" end nothing.
        more = text[found.end() : found.end() + 1] not in ("\n", "")
        if more and (re.search(r"(?:^|\n)[\s*_#>-]*\(?(?:\d+|[A-Za-z])\.$", part) or SHORT.search(part[:-1])):
            continue
        if part.strip():
            yield start, part
        start = found.end()
    if text[start:].strip():
        yield start, text[start:]
