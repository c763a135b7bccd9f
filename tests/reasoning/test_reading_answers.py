"""Answers in free text: hundreds of cases with their labels, and laws: what is read, and what never is."""

from __future__ import annotations

import json
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reasoning.prompting.choices import choice
from reasoning.prompting.number_lists import numbers

FIXTURES = Path(__file__).parents[1] / "fixtures" / "prompts"
COUNT = 3


def cases(name, key):
    lines = (FIXTURES / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [(entry["text"], entry[key]) for entry in map(json.loads, lines)]


CHOICES = [(text, None if number is None else number - 1) for text, number in cases("choices", "candidate")]
LISTS = cases("number_lists", "numbers")
READERS = {"choice": (choice, CHOICES), "numbers": (lambda text: numbers(text, COUNT), LISTS)}
UNDERSTOOD = [(kind, text, value) for kind, (_, part) in READERS.items() for text, value in part if value is not None]


@pytest.mark.parametrize("kind", READERS)
def test_cases_are_read_as_people_read_them(kind):
    """None is misread (another answer than the one meant), none is lost (not understood), the refused stay refused."""
    read, part = READERS[kind]
    found = [(text, value, read(text)) for text, value in part]
    misread = [case for case in found if case[2] is not None and case[2] != case[1]]
    lost = [case for case in found if case[2] is None and case[1] is not None]
    assert not misread and not lost
    refused = sum(value is None for _, value in part)
    assert len(part) >= {"choice": 500, "numbers": 90}[kind] and refused >= len(part) / 4


POLITE = (
    "Sure!", "Certainly!", "Of course.", "Great question!", "Thank you for the puzzle.", "I hope this helps!",
    "Let me know if you have any questions.", "Feel free to ask for more details.", "Happy to help with another one!",
    "Have a nice day!", "Please let me know if this answer is helpful.", "I hope this answer is what you were"
    " looking for.",
    "Thanks for your patience.", "It was a pleasure to look at this puzzle.", "This was a nice puzzle.", "Good luck!",
    "Here is what I found.", "I looked at all rows and columns.", "Thanks!", "Best regards", "Cheers",
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@example(case=("choice", "5.", 4), before=[POLITE[11]], after=[POLITE[11]], gap="\n")
@given(
    case=st.sampled_from(UNDERSTOOD),
    before=st.lists(st.sampled_from(POLITE), max_size=3),
    after=st.lists(st.sampled_from(POLITE), max_size=3),
    gap=st.sampled_from(["\n", "\n\n"]),
)
def test_polite_sentences_change_nothing(case, before, after, gap):
    kind, text, value = case
    behind = after if "<answer>7" not in text or "</" in text else []
    wrapped = gap.join([*([" ".join(before)] if before else []), text, *([" ".join(behind)] if behind else [])])
    assert READERS[kind][0](wrapped) == value


@settings(max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "answer: ", "<answer>", "\\boxed{"]))
def test_what_holds_no_number_and_no_letter_is_never_understood(text, mark):
    silent = "".join(sign for sign in text if not any(map(str.isalnum, unicodedata.normalize("NFKC", sign))))
    assert choice(mark + silent) is None
    assert numbers(mark + silent.replace("?", "").replace("-", "").replace("_", "").replace("*", ""), COUNT) is None


PIECES = (
    "answer", ":", "5", "3", "B", "a ", " or ", "not ", "<answer>", "</answer>", "\\boxed{", "}", "(", ")",
    ",", "\n", " ", "<think>", "</think>", "candidate ", "fifth ", "wait", "no, ", "{", '"', "**", "?",
    "might ", ".", "hence ", "：", "²", "½", "①", "\x00", "\ud800", "\u202e", "٣", "一",
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
def test_no_text_raises(text):
    found, panel = choice(text), numbers(text, COUNT)
    assert found is None or 0 <= found < 8
    assert panel is None or len(panel) == COUNT


@pytest.mark.parametrize(
    "piece",
    [*PIECES, "answer: ", "answer: 5, ", "((", "1, ", "1 ", "candidate 5 ", "not 3 but ", "so it is ", "a" * 50],
)
def test_long_texts_take_no_time(piece):
    text = piece * (100_000 // len(piece))
    began = time.process_time()
    choice(text)
    numbers(text, COUNT)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "said",
    [
        "Candidate {a} is wrong, hence candidate {b}.", "It is candidate {b}, not candidate {a}.",
        "Candidate {a} is tempting, but it is candidate {b}.", "I choose candidate {b} rather than candidate {a}.",
        "Instead of candidate {a}, I choose candidate {b}.", "Candidate {a} is ruled out. Candidate {b} is correct.",
        "answer: {b}, not {a}", "The answer is not {a} but {b}.", "Not {a}.\nanswer: {b}", "answer: {a}\nWait,"
        " no.\nanswer: {b}",
        "<think>answer: {a}</think>answer: {b}", "The answer is {a}, I thought.\n<answer>{b}</answer>",
        "Candidate {a} violates the color rule. Only candidate {b} fits.",
    ],
)  # fmt: skip
def test_a_rejected_option_never_wins(said):
    for a in range(1, 9):
        for b in {1, 2, 5, 8} - {a}:
            assert choice(said.format(a=a, b=b)) == b - 1, (a, b)


@pytest.mark.parametrize(
    "said",
    [
        "Candidate {a} is wrong.", "It is not candidate {a}.", "The answer is not {a}.", "I reject candidate {a}.",
        "Candidate {a} cannot be right.", "answer: not {a}", "Perhaps {a}", "answer: {a} or {b}", "answer: {a}-{b}",
        "answer: {a}?", "If it is candidate {a}, row 3 fails.",
    ],
)  # fmt: skip
def test_rejections_doubts_and_ranges_state_nothing(said):
    for a in range(1, 9):
        assert choice(said.format(a=a, b=a % 8 + 1)) is None, a


@pytest.mark.parametrize(
    "said",
    [
        "{x}",
        "answer: {x}",
        "**Answer:** ({x})",
        "<answer>{x}</answer>",
        "\\boxed{{{x}}}",
        '{{"answer": "{x}"}}',
        "The answer is {x}.",
        "答案：{x}",
        "answer: candidate {x}",
    ],
)
def test_every_sign_of_a_candidate_is_read(said):
    words = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
    for k in range(8):
        signs = [str(k + 1), "ABCDEFGH"[k], words[k], chr(ord("１") + k), chr(ord("①") + k)]
        assert [choice(said.format(x=sign)) for sign in signs] == [k] * len(signs)
