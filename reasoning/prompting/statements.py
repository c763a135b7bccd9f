r"""How answers in free text are read: which of their statements counts. What is stated is read by its neighbours.

The rules, for both forms of prompts. A misread answer is worse than one that is not understood.

1. Thoughts between tags (``<think>``) say nothing, nor do code fences, markdown, LaTeX's fonts, kinds of digits or of
   colons.
2. Statements have ranks: tagged (``<answer>7</answer>``) or boxed (``\boxed{7}``); the form that was asked for,
   ``answer: 7`` at the start of a line, in the words of several languages and in JSON; "the answer is 7" in a sentence;
   a claim ("I choose candidate 7", "only candidate 7 fits", "hence candidate 7") and a line that holds nothing else; a
   weak claim ("candidate 7 fits"). The highest rank counts.
3. A statement of the highest rank, or a later one of any rank, that says something else leaves the text not understood,
   unless the later one corrects ("wait", "no:", "correction", "I was mistaken") or says that it is final.
4. A rejected option is never stated ("candidate 3 is wrong", "not 3 but 5", "5 rather than 3", "tempting").
5. Refusals ("a definitive choice is not possible", "none of them"), ranges and several options ("3-5", "3 or 5"),
   doubts in the sentence of a statement ("might", "perhaps", "not sure", "5?"), suppositions ("if it is 3") and what no
   candidate has (0, 9, 3.5) are not understood. "I think", "probably" and "my best guess" commit to one: they are.
6. Polite sentences around a statement change nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

__all__ = [
    "DOUBT",
    "LONGEST",
    "REFUSAL",
    "REJECTED",
    "Rank",
    "Statement",
    "clean",
    "explicit",
    "sentences",
    "settle",
    "supposed",
]

T = TypeVar("T")

LONGEST = 500  # characters of a sentence that may state something
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

REFUSAL = re.compile(
    r"\b(?:can(?:not|'t| not)|could(?:n't| not)|unable to|impossible|not possible|no (?:clear|definitive|single"
    r"|unique|obvious|suitable|correct)\b"
    r"|not (?:determinable|clear|enough|determined|defined)|undetermined|undecid\w+|insufficient|none|nothing"
    r"|neither|no candidate|no option|no answer"
    r"|don't know|do not know|refuse|decline|unclear|ambiguous|unknown|unanswerable|null)\b|\bn/a\b",
    re.IGNORECASE,
)
DOUBT = re.compile(
    r"\b(?:might|may|could|maybe|perhaps|possibly|not (?:\w+ |100 ?% ){0,2}(?:sure|certain|confident)|n't"
    r" (?:\w+ |100 ?% ){0,2}(?:sure|certain|confident|decide)"
    r"|unsure|uncertain|either|both|toss-?up|between|at least|at most|vielleicht|peut-être|quizás|forse)\b|\?\s*$",
    re.IGNORECASE,
)
_SURE = re.compile(r"\b(?:no|without(?: a)?|beyond) (?:any )?doubt\b", re.IGNORECASE)
REJECTED = re.compile(
    r"(?:\b\w+n't|\b(?:not|cannot|never|neither|nor|no longer|wrong|incorrect|false|invalid|fail(?:s|ed)?"
    r"|violat\w+|break(?:s|ing)?|ruled? out|exclud\w+"
    r"|eliminat\w+|reject\w*|discard\w*|dismiss\w*|tempt\w+|mislead\w*|distractors?|mismatch\w*|contradict\w*"
    r"|differ(?:s|ent)?|unlikely|"
    r"almost|nearly|close|too|only (?:fits|matches) (?:in|the (?:type|size|color))|lacks?|misses|second[- ]best"
    r"|instead of|rather than))\b",
    re.IGNORECASE,
)
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|assum\w+|consider\w*|let's|let us|let me|try(?:ing)?|check(?:ing)?|test(?:ing)?|imagine"
    r"|hypothe\w+|unless|whether|first guess|at first"
    r"|initial(?:ly)?|for example|e\.g\.|say that|would have)(?![a-z])",
    re.IGNORECASE,
)
_CORRECTED = re.compile(
    r"\b(?:wait|scratch that|correction|on second thought|i was (?:wrong|mistaken)|i made (?:a|an) (?:mistake"
    r"|error)|let me (?:re\w+|double[- ]check)|"
    r"that(?:'s| is| was) (?:wrong|not right|incorrect|a mistake)|i take (?:that|it) back|sorry, (?:i|that|it)"
    r"|oops|disregard|ignore that)\b"
    r"|(?:^|[.!?]\s+|\n)no\s*[,:.!-]",
    re.IGNORECASE,
)
_TURNED = re.compile(r"\b(?:actually|instead|rather|revised?|corrected|updated)\b", re.IGNORECASE)
_FINAL = re.compile(
    r"\b(?:final(?:ly)?|in conclusion|to conclude|ultimately|hence|therefore|thus|consequently"
    r"|overall)\b",
    re.IGNORECASE,
)


_THING = re.compile(r"candidate|option|choice|selection", re.IGNORECASE)  # no mark within a sentence
_BLANK = re.compile(r"\s*")
_SHORT = re.compile(r"\b(?:no|nr|e\.g|i\.e|cf|vs|opt|fig)$", re.IGNORECASE)  # their dots end no sentence


class Rank(IntEnum):
    """How much a statement says that it is the answer."""

    WEAK = 0
    CLAIM = 1
    SENTENCE = 2
    ASKED = 3
    TAGGED = 4


@dataclass(frozen=True)
class Statement(Generic[T]):
    """Something that a text states.

    Attributes:
        start: where it begins in the clean text.
        end: where it ends.
        rank: how explicit it is.
        value: what it states; None: a refusal, a doubt, or nothing that could be understood.
        final: whether its sentence says that it is the last word.
        prose: whether a value is missing because something else follows, such as "answer: let us see".
    """

    start: int
    end: int
    rank: Rank
    value: T | None
    final: bool = False
    prose: bool = False


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
        if more and (re.search(r"(?:^|\n)[\s*_#>-]*\(?(?:\d+|[A-Za-z])\.$", part) or _SHORT.search(part[:-1])):
            continue
        if part.strip():
            yield start, part
        start = found.end()
    if text[start:].strip():
        yield start, text[start:]


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
    final = bool(_FINAL.search(before + mark.group()))
    previous = text[: mark.start()].rstrip().rpartition("\n")[2]
    if rank is Rank.ASKED:
        if re.search(r"\b(?:for example|e\.g\.|such as|format)\W*$", previous, re.IGNORECASE):
            return None  # the prompt, said again
        first = re.match(r"[\s*_`\"'$({\[]*(?:the |it is |its |it's )?(\S*)", content)
        prose = value is None and not re.search(r"\d", first.group(1) if first else "") and not REFUSAL.search(content)
        named = re.fullmatch(r"[\s*_#>`-]*(?:candidate|option|solution|choice)\W*", mark.group(), re.IGNORECASE)
        if named and value is None:
            return None  # a headline of the reasoning
        return Statement(mark.start(), end, rank, value, final, prose)
    if _THING.match(mark.group()):
        return None  # "candidate is 5 wide"
    if REJECTED.search(before) or supposed(before):
        return None
    if _doubtful(before):
        return Statement(mark.start(), end, rank, None, final)
    if value is None and not REFUSAL.search(content.partition(". ")[0]) and not _doubtful(content.partition(". ")[0]):
        return None  # "the answer is clear"
    return Statement(mark.start(), end, rank, value, final)


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
        if re.search(r"[^\W_]", before) and not _SHORT.search(before):
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


def _doubtful(text: str) -> bool:
    return bool(DOUBT.search(_SURE.sub("", text)))


def supposed(text: str) -> bool:
    """Whether a sentence tries something out instead of stating it."""
    return bool(_SUPPOSED.search(text))


def settle(text: str, statements: Sequence[Statement[T]]) -> T | None:
    """What a text says in the end.

    Args:
        text: clean.
        statements: all that were found in it.

    Returns:
        The value; None where there is none, or more than one.
    """
    left = sorted(statements, key=lambda statement: (statement.start, -statement.rank))
    left = [
        one for k, one in enumerate(left) if not (one.prose and any(other.value is not None for other in left[k + 1 :]))
    ]
    for k in range(len(left) - 1, 0, -1):
        between = text[left[k - 1].end : left[k].start]
        if _CORRECTED.search(between) or _TURNED.search(f"{between} {text[left[k].start : left[k].end]}"):
            left = left[k:]
            break
    if not left:
        return None
    top = max(statement.rank for statement in left)
    last = max(k for k, statement in enumerate(left) if statement.rank == top)
    same = {statement.value for statement in left if statement.rank == top} | {one.value for one in left[last:]}
    if len(same) > 1:
        others = {one.value for one in left[last:]}
        if not (left[last].final and top < Rank.ASKED and len(others) == 1):
            return None
    value = left[last].value
    behind = text[left[-1].end :]
    if _CORRECTED.search(behind) or (top <= Rank.CLAIM and REFUSAL.search(behind)):
        return None  # taken back, and nothing else put in its place
    return value
