"""The numbers of a panel that an answer in free text gives. The rules: :mod:`reasoning.prompting.statements`."""

from __future__ import annotations

import re
from functools import partial

from reasoning.prompting.marks import explicit
from reasoning.prompting.plain_text import clean
from reasoning.prompting.statements import DOUBT, REFUSAL, REJECTED, Rank, Statement, settle, supposed

__all__ = ["numbers"]

Values = tuple[int | None, ...]

_NUMBER = re.compile(r"([+-]?\d{1,9})(?:\.0{1,9})?")
_NAMED = re.compile(r"[A-Za-z]\w{0,20}\s*[=:]\s*")  # "n1 = 5"
_UNSURE = ("?", "-", "_", "none", "noise", "null", "n/a", "x", "*")
_GROUP = re.compile(r"[(\[{<]([^()\[\]{}<>\n]*)[)\]}>]")
_WORD = r"(?:[+-]?\d{1,9}(?:\.0{1,9})?|\?)"
_LISTED = re.compile(
    rf"[\s*_`\"'$\\:=]*((?:{_WORD}[\s,;/|]+(?:and\s+)?)+{_WORD})(?![\w%]|\.\d|\s*[-+*/]\s*\d"
    rf"|[\s,;]+\d)"
)
_JOINED = re.compile(r"[\s/,;|&*_`$]*(?:and)?[\s/,;|&*_`$]*")


def numbers(text: str, count: int) -> list[int | None] | None:
    """The numbers that an answer in the predictive form gives.

    Args:
        text: free text.
        count: how many numbers are wanted.

    Returns:
        As many numbers, None for a place left open ("?"); None: not as many, or nothing that could be understood.
    """
    text = clean(text)
    read = partial(_read, count=count)
    found = explicit(text, read)
    lines = [line for line in text.splitlines() if re.search(r"\d", line)]
    if not found and lines and len(lines[-1]) <= 200 and not supposed(lines[-1]) and not REJECTED.search(lines[-1]):
        start = text.rindex(lines[-1])  # the last line that holds a number
        found = [Statement(start, start + len(lines[-1]), Rank.CLAIM, read(lines[-1]))]
    value = settle(text, found)
    return None if value is None else list(value)


def _read(content: str, count: int) -> Values | None:
    line = next((line for line in content.splitlines() if re.search(r"[\w?]", line)), "")
    groups = list(_GROUP.finditer(line))
    # Where brackets stand one in another, those inside count.
    if not groups:
        listed = _LISTED.match(line)
        if listed is None:
            bare = line.strip(" \t*`$.:=\"'!()[]{}")
            return _values(bare, count) if not (DOUBT.search(line) or REFUSAL.search(line)) else None
        rest = line[listed.end() :]
        return None if DOUBT.search(rest) or re.match(r"\W*or\b", rest) else _values(listed.group(1), count)
    if DOUBT.search(line) or re.match(r"\s*not\b", line):
        return None
    joined = [groups[0]]
    for group in groups[1:]:
        if not _JOINED.fullmatch(line[joined[-1].end() : group.start()]):
            break
        joined.append(group)
    whole = _values(", ".join(group.group(1) for group in joined), count)
    if whole is not None and len(joined) > 1:
        return whole
    found = [(group, value) for group in groups if (value := _values(group.group(1), count)) is not None]
    if not found or (
        len({value for _, value in found}) > 1 and not _set_aside(line, found[0][0].end(), found[1][0].start())
    ):
        return None
    first = found[0][0]
    between = line[groups[0].end() : first.start()] if first is not groups[0] else ""
    return None if re.search(r"\d", between) else found[0][1]


def _set_aside(line: str, start: int, end: int) -> bool:
    """Whether a second panel is named to be rejected."""
    return bool(
        re.search(r"\b(?:not|rather than|instead of|unlike|while|whereas|since|because|from)\b", line[start:end])
    )


def _values(text: str, count: int) -> Values | None:
    """As many numbers and open places as are wanted, and nothing else."""
    words = re.split(r"\s*[,;/|]\s*(?:and\s+)?|\s+(?:and\s+)?", text.strip(" \t*`$.:=\"'\\"))
    if len(words) != count:
        words = re.split(r"\s*[,;/|]\s*", text.strip(" \t*`$.:=\"'\\"))  # "n1 = 5, n2 = 6"
    words = [_NAMED.sub("", word, count=1).strip("*_`\"'$ ") or "_" for word in words]
    if len(words) != count:
        return None
    values: list[int | None] = []
    for word in words:
        number = _NUMBER.fullmatch(word)
        if number is None and word.lower() not in _UNSURE:
            return None
        values.append(int(number.group(1)) if number else None)
    return tuple(values)
