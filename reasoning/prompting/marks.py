"""Statements that are marked: tagged, boxed, in the form that was asked for, or as "the answer is 7"."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from reasoning.prompting.plain_text import SHORT
from reasoning.prompting.statements import LONGEST, REFUSAL, REJECTED, Rank, Statement, doubtful, final, supposed

__all__ = ["explicit"]

T = TypeVar("T")

_TAG = re.compile(
    r"[<\[](answer|ans|final[ _-]?answer|choice|solution|final)\b[^<>\[\]]*[>\]](.*?)(?:[<\[]/\1\s*[>\]]|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_BOX = re.compile(r"\\?\b[bf](?:oxed|box)\s*\{")
_ANSWER = (
    r"(?:(?:my |the |final |your |correct |best |right )*"
    r"(?:final[ _]|selected[ _]|chosen[ _]|predicted[ _])?(?:answer|choice|solution|selection|conclusion"
    r"|prediction)(?:[ _](?:choice|option|number|index))?"
    r"|candidate|option|antwort|lösung|réponse|reponse|respuesta|risposta|resposta|antwoord|svar|vastaus"
    r"|odpowiedź|odpověď|válasz|cevap|yanıt"
    r"|jawaban|răspuns|đáp án|ответ|відповідь|отговор|απάντηση|答案|答え|回答|解答|정답|답변|답|正解"
    r"|उत्तर|الجواب|الإجابة|תשובה|คำตอบ)"
    r"(?: (?:finale?|correct[ae]?|corretta|correta|richtige?|korrekt))?"
)
_DECORATION = r"[ \t*_`\"'|$\\#{}()\[\]]*"
# The form that was asked for: at the start of a line, with a colon; or alone in a line, as a headline.
_ASKED = re.compile(
    rf"^[ \t>#*_`\"'|$\\{{}}()\[,•·-]*(?:so|thus|hence|therefore|finally|final|and|the|my|la|le|die|meine"
    rf"|endgültige|ma|mi|il)?[, ]*{_ANSWER}(?![a-z])"
    rf"{_DECORATION}(?:(?::|=>?|->|→|⇒|⟶|—|–|-(?=\s)|\|)|(?=\n))",
    re.IGNORECASE | re.MULTILINE,
)
_COPULA = (
    r"(?:must be|has to be|should be|would be|will be|can only be|is|was|be|equals|ist|lautet|은|는|est|es"
    r"|è|é|är|er|是|は|为|為|:|=>?|->|→|⇒)"
)
_KEY = re.compile(
    r"[\"'](?:final_?|selected_?|chosen_?)?(?:answer|choice|candidate|option|selection"
    r"|prediction)(?:_number|_index)?[\"']\s*:",
    re.IGNORECASE,
)
_INLINE = re.compile(
    rf"(?<![^\W_一-龥ぁ-ヿ가-힣]){_ANSWER}(?![a-z]){_DECORATION}"
    rf"(?:to (?:this|the) (?:puzzle|question|problem|matrix)\s+)?"
    rf"(?:{_COPULA}(?![a-z'])(?:\s+(?:therefore|thus|then|clearly|hence|indeed|probably|likely|most likely"
    rf"|definitely))?|(?=[(]?[1-8](?:[\s).*]*(?:\n|$))))",
    re.IGNORECASE,
)
_BLANK = re.compile(r"\s*")
_THING = re.compile(r"candidate|option|choice|selection", re.IGNORECASE)  # no mark within a sentence


def explicit(text: str, read: Callable[[str], T | None]) -> list[Statement[T]]:
    """The tagged, boxed and marked statements of a text.

    Args:
        text: clean.
        read: what stands behind a mark -> what it states.

    Returns:
        Statements in order.
    """
    found: list[Statement[T]] = []
    held: list[range] = []  # what stands in tags and boxes is not read again

    def add(start: int, end: int, rank: Rank, content: str) -> None:
        if content.strip(" \n\t.*_`$"):
            found.append(Statement(start, end, rank, read(content), True))
        held.append(range(start, end))

    for tag in _TAG.finditer(text):
        add(tag.start(), tag.end(), Rank.TAGGED, tag.group(2).strip()[:LONGEST])
    for box in _BOX.finditer(text):
        if not any(box.start() in part for part in held):
            end = _closed(text, box.end())
            add(box.start(), end, Rank.TAGGED, text[box.end() : end].removesuffix("}"))
    for pattern, rank in ((_ASKED, Rank.ASKED), (_KEY, Rank.ASKED), (_INLINE, Rank.SENTENCE)):
        for mark in pattern.finditer(text):
            if any(mark.start() in part or mark.end() in part for part in held):
                continue
            content, end = _behind(text, mark.end())
            first = _first(content)
            another = next(
                (one for one in _INLINE.finditer(first) if one.start() and not _THING.match(one.group())), None
            )
            first = first[: another.start()] if another else first
            content, end = first, end - len(content) + len(first)
            if any(end > part.start >= mark.end() for part in held):
                continue  # the tag or the box behind the mark says it
            before = text[max(text.rfind("\n", 0, mark.start()) + 1, mark.start() - LONGEST // 2) : mark.start()]
            before = re.split(r"[.!?;]\s", before)[-1]
            statement = _marked(mark, rank, content, end, before, text, read)
            if statement is not None:
                found.append(statement)
                held.append(range(mark.start(), max(mark.end(), end)))
    return sorted(found, key=lambda statement: statement.start)


def _marked(
    mark: re.Match[str], rank: Rank, content: str, end: int, before: str, text: str, read: Callable[[str], T | None]
) -> Statement[T] | None:
    """What stands behind a mark; None where the mark states nothing."""
    value = read(content)
    last_word = final(before + mark.group())
    previous = text[: mark.start()].rstrip().rpartition("\n")[2]
    if rank is Rank.ASKED:
        if re.search(r"\b(?:for example|e\.g\.|such as|format)\W*$", previous, re.IGNORECASE):
            return None  # the prompt, said again
        first = re.match(r"[\s*_`\"'$({\[]*(?:the |it is |its |it's )?(\S*)", content)
        prose = value is None and not re.search(r"\d", first.group(1) if first else "") and not REFUSAL.search(content)
        named = re.fullmatch(r"[\s*_#>`-]*(?:candidate|option|solution|choice)\W*", mark.group(), re.IGNORECASE)
        if named and value is None:
            return None  # a headline of the reasoning
        return Statement(mark.start(), end, rank, value, last_word, prose)
    if _THING.match(mark.group()):
        return None  # "candidate is 5 wide"
    if REJECTED.search(before) or supposed(before):
        return None
    if doubtful(before):
        return Statement(mark.start(), end, rank, None, last_word)
    if value is None and not REFUSAL.search(content.partition(". ")[0]) and not doubtful(content.partition(". ")[0]):
        return None  # "the answer is clear"
    return Statement(mark.start(), end, rank, value, last_word)


def _behind(text: str, start: int) -> tuple[str, int]:
    """The rest of a line, or the next one where nothing is left, and where it ends."""
    for _ in range(2):
        end = text.find("\n", start)
        end = min(len(text) if end < 0 else end, start + LONGEST)
        content = text[start:end]
        if re.search(r"[\w?]", content) or end == len(text):
            return content, end
        start = _BLANK.match(text, end).end()  # type: ignore[union-attr]
    return "", start


def _first(content: str) -> str:
    """The first sentence of what stands behind a mark."""
    for found in re.finditer(r"[.!?](?=[*_`\"')]*\s)", content):
        before = content[: found.start()]
        if re.search(r"[^\W_]", before) and not SHORT.search(before):
            return content[: found.end()]
    return content


def _closed(text: str, start: int) -> int:
    """Where the brace closes that was opened before a place."""
    depth = 1
    for place in range(start, min(len(text), start + LONGEST)):
        depth += (text[place] == "{") - (text[place] == "}")
        if depth == 0:
            return place + 1
    return len(text)
