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
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Generic, TypeVar

__all__ = ["DOUBT", "LONGEST", "REFUSAL", "REJECTED", "Rank", "Statement", "doubtful", "final", "settle", "supposed"]

T = TypeVar("T")

LONGEST = 500  # characters of a sentence that may state something

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


def doubtful(text: str) -> bool:
    """Whether a sentence says that it may be otherwise."""
    return bool(DOUBT.search(_SURE.sub("", text)))


def final(text: str) -> bool:
    """Whether a sentence says that it is the last word."""
    return bool(_FINAL.search(text))


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
