"""The candidate that an answer in free text chooses. The rules are those of :mod:`reasoning.prompting.statements`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from reasoning.prompting.marks import explicit
from reasoning.prompting.plain_text import clean, sentences
from reasoning.prompting.statements import DOUBT, LONGEST, REFUSAL, REJECTED, Rank, Statement, final, settle, supposed

__all__ = ["choice"]

_WORDS = {
    word: number
    for words in (
        "one two three four five six seven eight",
        "first second third fourth fifth sixth seventh eighth",
        "1st 2nd 3rd 4th 5th 6th 7th 8th",
        "A B C D E F G H",
        "a b c d e f g h",
        "1 2 3 4 5 6 7 8",
        "一 二 三 四 五 六 七 八",
    )
    for number, word in enumerate(words.split())
}
_COUNTED = "one|two|three|four|five|six|seven|eight"
_ORDINAL = "first|second|third|fourth|fifth|sixth|seventh|eighth|1st|2nd|3rd|4th|5th|6th|7th|8th"
_NOUN = (
    r"(?:candidates?|options?|choices?|answers?|panels?|numbers?|numero|número|numéro|nummer|no\.|nr\.?|nº|n°|#"
    r"|kandidate?n?|optionen|opción|opciones"
    r"|opzione|opção|candidat[oae]?s?|вариант|кандидат|选项|選択肢|候选|候補|第|번)(?![A-Za-z])"
)
_DECORATION = r"[\s*_`\"'$({\[\\#:=<>-]*"
_SIGN = (
    rf"(?:(?<![-+.])[1-8](?:\.0+)?(?![.,:/^+*×~–—-]?\d|\s*[-+*/×^<~–—]\s*\d|\s*\.\.+|%|\.\w|'\w)"
    rf"|[A-Ha-h](?![.'-]\w)|(?:{_COUNTED})|[一二三四五六七八])(?![^\W_一-龥ぁ-ヿ가-힣])"
)
_WORD_ENDS = re.compile(r"[\s*_`\"')\]}]*(?:$|\n|[.,;:!()\[-]|because\b|since\b|of (?:8|eight)\b)", re.IGNORECASE)
_TURNED = rf"(?:{_ORDINAL})"
# Where a statement begins with its candidate.
_LEAD = re.compile(
    rf"{_DECORATION}(?:(?:it|this|that|i|we)(?:'s| is| must be| has to be| would be| choose| pick| select|"
    rf" think(?: it is| it's)?| believe(?: it is| it's)?| go with)?\s+"
    rf"|probably\s+|most likely\s+|likely\s+|clearly\s+|definitely\s+|my best guess is\s+|is\s+|therefore,?\s+"
    rf"|thus,?\s+|hence,?\s+|so,?\s+"
    rf"|(?:the )?(?:hidden|missing|correct|right|best|last|final)\s+|panel is\s+|the\s+|el\s+|la\s+|le\s+"
    rf"|der\s+|die\s+|das\s+|il\s+|o\s+|number\s+"
    rf"|(?:text|mathrm|textbf|boxed|mathbf)\b{_DECORATION}"
    rf"|(?P<noun>{_NOUN})[\s}}]*{_DECORATION}(?:is\s+)?)*?[(\[\"'*_`$]*"
    rf"(?:(?P<turned>{_TURNED})(?=[\s*_`]*(?:$|\n|[.,;:!)\]]|(?:candidate|option|choice|one|panel|answer)\b))"
    rf"|(?P<sign>{_SIGN}))",
    re.IGNORECASE,
)
# What may follow a number without a comma: "3 triangles" are no candidate.
_FOLLOWS = re.compile(
    r"[\s)\]}*_`\"'$\\>]*(?:$|\n|[.,;:!?()\[\]=|/&{}<—–→∵-]|(?:because|since|as|is|are|was|with|for|due|given"
    r"|which|that|and|or|but|by|in|a|an|the|not|it|if|to|of (?:the )?(?:8|eight)|out of"
    r"|fits|completes|matches|follows|satisfies|belongs|works|thanks?|hope|let|please|cheers|candidate|option"
    r"|choice|panel|one|answer|i|we|has|rather|instead|from|based"
    r"|porque|pues|ya|weil|denn|da|car|parce|puisque|perché|poiché|omdat|потому|так|であ|です|입니다|oder|ou|o|y|und"
    r"|et|e|или|и|或|和)(?![^\W_])|[一-龥ぁ-ヿ가-힣\u2600-\u27bf\U0001f000-\U0001faff])",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"[\s*_`\"']+[^\W\d_]")
_ITEMS = re.compile(r"^[\s*_#>-]*\d+[.)]", re.MULTILINE)
_OTHER = (
    rf"(?:possibly|maybe|perhaps|also|even|less likely|alternatively|else)?[\s,]*(?:{_NOUN}\s*)?[(\[\"'*]*"
    rf"(?:[1-8](?![\w.]*\w)|[A-H](?!\w)(?=\s*(?:$|\n|[.,;)!?\]]|or\b|and\b))|(?:{_COUNTED})\b(?=\s*(?:$|[.,;)!?])))"
)
_ALSO = re.compile(
    rf"[\s)\]}}*_`\"'$]*(?:or|and|to|through|oder|ou|o|y|und|et|e|или|и|或|和|と|,|/|&|\||-|–|—|;"
    rf"|\.\.+)\s*{_OTHER}",
    re.IGNORECASE,
)
_ALSO_UPPER = re.compile(r"[\s)\]}*_`\"'$]*[,/&|;\s]\s*[(\[]?[A-H](?=[\s)\].]*(?:$|\n|,|or\b|and\b))")
_OR = re.compile(rf"\b(?:or|oder|ou|или|或)\b[^.\n]*?{_OTHER}", re.IGNORECASE)
_TWO = re.compile(r"[\s)\]*]*\s[(\[]?[1-8](?![\w.]*\w)(?!\s*(?:of|out)\b)")
_TUPLE = re.compile(r"\s*[(\[{]?\s*[^()\[\]\n]{1,40},[^()\[\]\n]*,")
# A candidate that a sentence is about.
_MENTION = re.compile(
    rf"(?<![^\W_])(?:(?:candidate|option|choice|answer|kandidat|opción|opzione|candidato|candidat|вариант"
    rf"|选项)[\s*_`:.]*(?:number\s+|no\.?\s*|nr\.?\s*|\#\s*)?[(\[\"'*]*(?P<sign>{_SIGN})[)\]\"'*_`]*"
    rf"|(?:the\s+)?(?P<turned>{_TURNED})[\s*_`]+(?:candidate|option|choice|one)(?![^\W_])"
    rf"|number\s+(?P<word>{_COUNTED}|[1-8](?![\w.]*\w))(?![^\W_])"
    rf"|(?<=it is )(?P<upper>[A-H])(?=[\s*_`]*(?:$|[.,;!\n]))|(?<=it's )(?P<upper2>[A-H])(?=[\s*_`]*(?:$|[.,;!\n])))",
    re.IGNORECASE,
)
_PICKED = (
    r"(?:(?:choose|chose|chosen|pick|picked|select|selected|choosing|picking|selecting|go with|going with"
    r"|went with|settle on|settled on|settling on|opt for|vote for|answer with|would say|elija|elijo|wähle"
    r"|choisis)\s*:?\s*)"
)
_PICK = re.compile(rf"\b{_PICKED}(?:{_NOUN}\s*)*[(\[\"'*#]*(?P<sign>{_SIGN})[)\]\"'*]*", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:\b(?:it|this|that|choice|panel|candidate|option|one|result|pick|guess|solution|match|completion)(?:'s"
    r"|\s+(?:is|must be|has to be|should be|can only be|was))"
    r"(?:\s+(?:then|therefore|clearly|thus|indeed|probably|likely|most likely|definitely|only))?"
    rf"|\b{_PICKED}|\b(?:conclude|say|leaves(?: us with| only)?|leaving(?: us with| only)?|left with)"
    r"|\b(?:this|that|it|which)\s+(?:is|matches|corresponds to|points to|leads (?:us )?to)|\bcorresponds to"
    r"|^\s*is)[\s:*_`]*(?:the\s+)?$",
    re.IGNORECASE,
)
_RIGHT = re.compile(
    r"^[\s*_`)]*(?:(?:is|must be|has to be)\s+(?:clearly |also |indeed |therefore |thus |then |the |my |our "
    r"|only |most likely |probably )*"
    r"(?:(?:final |correct |right |missing |hidden |best |only |one |matching )*(?:answer|choice|option"
    r"|candidate|solution|match|panel|fit|one|completion)|correct|right|it)\b(?!\s+(?:in|for|about|on|as|of its"
    r"|size|type|color))"
    r"|belongs\b|must belong|wins\b|it is\b)",
    re.IGNORECASE,
)
_FITS = re.compile(
    r"^[\s*_`)]*(?:\w+ly\s+|alone\s+|also\s+)?(?:fits|matches|completes|satisfies|works|follows|obeys)\b", re.IGNORECASE
)
_WHOLLY = re.compile(
    r"\b(?:only|alone|all|every|perfectly|exactly|(?:hidden|missing) panel|the (?:matrix|table|pattern|puzzle"
    r"|third row|last row)|each (?:rule|property)|everything)\b",
    re.IGNORECASE,
)
_PARTLY = re.compile(r"\b(?:all|every\w*)\b[^.,;]*\b(?:but|except)\b|\bnearly\b|\balmost\b", re.IGNORECASE)
_SPLIT = re.compile(
    r"(?<!\w)(but|however|although|though|hence|therefore|thus|so|consequently|while|whereas|because|since|yet"
    r"|and|instead of|rather than|as opposed to|not|unlike|except|over|than)(?!\w)"
    r"|([,;:()—–→⇒∴]|=>|->|\s-\s)",
    re.IGNORECASE,
)
_AUXILIARY = re.compile(r"\b(?:does|do|is|can|could|would|will|should|has|was|did)\s*$", re.IGNORECASE)
_WRONG = re.compile(
    r"[\s*_`)]*(?:,\s*which\s+)?(?:is|was)\s+(?:\w+\s+)?(?:wrong|incorrect|not|ruled out|tempting|false)\b",
    re.IGNORECASE,
)
_POINTED_AT = re.compile(r"\b(?:it|this|that)(?:'s| is| must| has| would)", re.IGNORECASE)
_CONCLUDES = ("hence", "therefore", "thus", "so", "consequently", "→", "⇒", "∴", "=>", "->")
_SETS_ASIDE = ("instead of", "rather than", "as opposed to", "not", "unlike", "except", "over", "than")
_ONLY = re.compile(
    r"(?:\b(?:final|definitely|clearly|obviously|of course|i think|i believe|i'd say|i say|probably|it's|it is"
    r"|that's|that is|please|is|my|answer|choice|the|just|only)\b|[\W_])*",
    re.IGNORECASE,
)


def choice(text: str) -> int | None:
    """The candidate that an answer in the discriminative form names.

    Args:
        text: free text.

    Returns:
        0 to 7, for 1 to 8 or A to H; None: none, several, or nothing that could be understood.
    """
    text = clean(text)
    found = explicit(text, _read)
    taken = [range(one.start, one.end) for one in found]
    for start, sentence in sentences(text):
        if len(sentence) > LONGEST:
            continue
        for claim in _claims(sentence, start, text):
            if not any(claim.start in part for part in taken):
                found.append(claim)
    return settle(text, found)


def _read(content: str) -> int | None:
    """What stands behind a mark, or in a tag or a box."""
    found = _LEAD.match(content)
    if found:
        return _named(found, content)
    turned = re.match(r"[\s*_`\"']*not\b[^.\n]*?\b(?:but|rather)\b", content, re.IGNORECASE)
    if turned:
        return _read(content[turned.end() :])
    values = {claim.value for claim in _claims(content, 0, content)}
    return values.pop() if len(values) == 1 else None


def _named(found: re.Match[str], content: str) -> int | None:
    """A candidate at the head of a statement, unless what follows makes it none."""
    sign, rest = found.group("turned") or found.group("sign"), content[found.end() :]
    sentence = re.split(r"[.!;](?=\s)|\n", rest)[0]
    follows = _WORD_ENDS if sign.isascii() and len(sign) > 1 and sign.isalpha() else _FOLLOWS
    if not (found.group("turned") or follows.match(rest)):
        return None
    rest = re.sub(rf"^[\s*_`]*[(\[]{_number(sign) + 1}[)\]]", "", rest)  # "five (5)"
    if sign in "Aabcdefgh" and not found.group("noun") and _ARTICLE.match(rest):
        word = re.match(r"[\s*_`\"']+(because|since|is|as|with|due|given|fits|completes|matches)\b", rest)
        if not (sign == "A" and word):
            return None  # an article ("a panel")
    listed = rest.lstrip(" )]*_`").startswith((",", ":", "(", "=", "-")) and _TUPLE.match(rest.lstrip(" )]*_`,:=-"))
    if not listed and (_ALSO.match(rest) or _ALSO_UPPER.match(rest) or _TWO.match(rest)):
        return None  # two of them
    opened = found.group("noun") is None and "(" in content[: max(found.start("sign"), 0)]
    if opened and re.match(r"\s*,\s*\??[\d?]", rest):
        return None  # the panel itself
    rejected = re.split(r"\bnot\b|\brather than\b|\binstead of\b|\bunlike\b|\(", sentence)[0]
    if _OR.search(rejected) or _OR.search(sentence) or DOUBT.search(sentence) or re.match(r"[\s*)]*\?", rest):
        return None
    if _WRONG.match(rest):
        return None
    return _number(sign)


def _number(sign: str) -> int:
    sign = sign.lower()
    return _WORDS[sign[0] if sign[0].isdigit() and "." in sign else sign]


def _claims(sentence: str, start: int, text: str) -> Iterator[Statement[int]]:
    """What a sentence without a mark states."""
    alone = _alone(sentence, start, text)
    if alone is not None:
        yield alone
        return
    mentions = list(_MENTION.finditer(sentence))
    picked = _PICK.search(sentence)
    if not mentions and not picked:
        return
    if DOUBT.search(sentence) or supposed(sentence):
        return
    end = start + len(sentence)
    segments = list(_segments(sentence))
    for k, (place, opening, segment) in enumerate(segments):
        following = segments[k + 1][1] if k + 1 < len(segments) else ""
        if opening in _SETS_ASIDE or REJECTED.search(segment) or REFUSAL.search(segment):
            continue
        if following == "not" and _AUXILIARY.search(segment):
            continue
        pick = _PICK.search(segment)
        within = [pick] if pick else list(_MENTION.finditer(segment))
        if len(within) != 1:
            continue
        mention = within[0]
        before, after = segment[: mention.start()], segment[mention.end() :]
        value = _number(next(group for group in mention.groups() if group))
        if re.match(r"\s*(?:or|/|&|-)\s*[(]?[1-8A-H]\b", after) or (following == "and" and _bare_sign(segments, k)):
            continue
        rest = after + sentence[place + len(segment) :]
        empty = [one[1] for one in segments[k - 1 : k] if not one[2].strip()]  # "so," and what follows
        concluded = any(word in _CONCLUDES for word in (opening, *empty))
        strong = (
            pick is not None
            or _BEFORE.search(before)
            or _RIGHT.match(after)
            or (_FITS.match(after) and _WHOLLY.search(segment + rest) and not _PARTLY.search(before + rest))
            or (concluded and _ONLY.fullmatch(before) and (_ONLY.fullmatch(after) or _FITS.match(after)))
        )
        if strong:
            yield Statement(start + place, end, Rank.CLAIM, value, concluded or final(sentence))
        elif _FITS.match(after) and not REJECTED.search(rest) and not _PARTLY.search(rest):
            yield Statement(start + place, end, Rank.WEAK, value)


def _bare_sign(segments: list[tuple[int, str, str]], k: int) -> bool:
    """Whether the next segment is a further candidate: "candidate 3 and 5"."""
    return bool(re.match(r"\s*(?:candidate\s+|option\s+)?[(]?[1-8A-H]\b", segments[k + 1][2]))


def _segments(sentence: str) -> Iterator[tuple[int, str, str]]:
    """The clauses of a sentence: place, the word or sign that opens it, text."""
    place, opening = 0, ""
    for found in _SPLIT.finditer(sentence):
        yield place, opening, sentence[place : found.start()]
        place, opening = found.end(), re.sub(r"\s+", " ", found.group().strip().lower())
    yield place, opening, sentence[place:]


def _alone(sentence: str, start: int, text: str) -> Statement[int] | None:
    """A sentence that holds a candidate and nothing else."""
    found = _LEAD.match(sentence)
    if found is None or len(sentence) > 80 or "=" in sentence or ">" in sentence[: found.start("sign")]:
        return None
    before, rest = sentence[: found.end()], sentence[found.end() :]
    if not re.fullmatch(
        r"[\s).\]*_`\"'$}\\!>]*(?:(?:candidate|option|choice|one|panel)\b)?(?:,? (?:i think|i"
        r" believe|i'd say|probably|definitely|clearly|please|of course|final"
        r" answer))?[\s).\]*_`\"'$}\\!>]*",
        rest,
        re.IGNORECASE,
    ):
        return None
    sign = found.group("turned") or found.group("sign")
    line_start = text.rfind("\n", 0, start) + 1
    line = text[line_start : (text + "\n").index("\n", start + len(sentence.rstrip("\n")))].strip()
    plain = found.group("noun") is None
    letter = sign.lower() in "bcdefgh"
    if plain and _POINTED_AT.search(before) and not (letter or found.group("turned")):
        return None  # "so it must be 5" speaks of a value
    whole = line == sentence.strip()
    if not whole and plain and text[line_start:start].strip(" *_#>-") == "" and re.match(r"[)\]]*\.", rest):
        return None  # "1." numbers what follows
    if sign in "Aa" and plain and not whole:
        return None
    edge = not text[:start].strip() or not text[start + len(sentence) :].strip()
    numbered = plain and not edge and whole and sign.isdigit() and re.search(r"^[^(\[]*[.)]\s*$", sentence)
    if numbered and len(_ITEMS.findall(text)) > 1:
        return None  # the number of a list
    value = _named(found, sentence)
    rank = Rank.CLAIM if edge or not plain else Rank.WEAK
    return None if value is None else Statement(start, start + len(sentence), rank, value)
