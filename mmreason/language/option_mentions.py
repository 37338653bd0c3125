"""Which options a text speaks for: by their letter or their words, and not where it denies them.

"It is blue, not red" speaks for "blue" alone; "either A or B" for two. Pure string work with
offsets: what is found carries where it stands. Leaves out what to make of several
(`answer_reading.py`).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from mmreason.language.negation import Clauses
from mmreason.language.numbers import numbers_as_digits
from mmreason.language.prompts import LETTERS

_UNSPACED = r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\u0e00-\u0e7f]"
"""Scripts that put no space between words, or endings right behind them."""
_TOKEN = re.compile(
    rf"(?:(?<![^\s(])-)?\d+(?:[.,:/]\d+)*|{_UNSPACED}|(?:(?!{_UNSPACED})[^\W_]"
    rf"|[\u0300-\u036f\u0900-\u097f\u0610-\u065f])+"
)
_ARTICLES = frozenset(("a", "an", "the"))
_SPELLINGS = {"grey": "gr[ae]y", "gray": "gr[ae]y", "colour": "colou?r", "color": "colou?r"}

_BEFORE_LETTER = re.compile(
    r"(?:^|[\s(\"'])(?:(?:it|that|this|he|she)'?s|is|be|are|was|option|options|choice|answer|letter"
    r"|choose|chose|pick|picked|select|selected|with|for|not|or|and|nor|neither|either|both|than|of"
    r"|say|think|believe|guess|probably|likely|definitely|maybe|perhaps|possibly|certainly|clearly"
    r"|would|must|doubt|wait|sei|sia|sea|seja|soit|therefore|thus|hence|so|but|then|rather"
    r"|actually|obviously|except|only"
    r"|ist|lautet|antwort|nicht|sondern|oder|und|wohl|wahrscheinlich|est|réponse|pas|ou|mais|donc"
    r"|probablement|es|o|y|e|u|и|или|oppure|respuesta|opción|sino|probablemente|é|letra|resposta|opção"
    r"|alternativa|mas|provavelmente"
    r"|è|risposta|opzione|het|antwoord|это|ответ|вариант|не|а|или|هي|هو|الإجابة|الخيار|ليس|أو"
    r"|जवाब|शायद|উত্তর(?:টি)?|হলো|হল|বিকল্প|সম্ভবত|جواب|آپشن|شاید|ربما|jawaban(?:nya)?|adalah|pilihan"
    r"|opsi|mungkin|cevap|yanıt|muhtemelen|вероятно|наверное|答え|選択肢|おそらく|아마"
    r"|है|उत्तर|विकल्प|답은|정답은|정답|답)$"
    r"|[是为為选選项項案择擇はがのく라或和与與跟及：]$|[-\u2013\u2014:=>/,;.!?\n、。，；|]$",
    re.IGNORECASE,
)
_AFTER_LETTER = re.compile(
    r"^\s*(?:$|[.,;:!?)/=、。，；।۔،|\n-]|(?:is|are|was|because|since|as|and|or|not|but|seems|looks"
    r"|appears"
    r"|matches|fits|rather|instead|ist|und|oder|nicht|est|et|ou|pas|es|y|o|no|é|e|è|и|или|а|не|है"
    r"|नहीं|ہے|হলো|হল|adalah|seçeneği|şıkkı|olabilir"
    r"|it is|i think|i believe)\b|\("
    r"|选项|選項|번|番|が|です|でし|だ|では|じゃ|가|이|입니다|예요|是|项|項|不|而|和|或|、)",
    re.IGNORECASE,
)
_LETTER = re.compile(
    r"(?<![A-Za-z0-9'\-])(?P<open>[(\[{<\"']*)(?P<letter>[A-Za-z])(?P<close>[)\]}>\"']*)"
    r"(?![A-Za-z0-9'])(?!-\w)"
)
_DELIMITER = re.compile(r"[\s(\[)\]}>\"'.:,=/-]{1,6}(?:(?:an?|the)\s+)?", re.IGNORECASE)
_JOINT = re.compile(
    r"[\s)\"'\].]*[,、]?\s*(?P<word>(?:or|and|nor|oder|und|noch|ou|et|ni|o|y|e|nem|или|и|ни)\b|或|和|、)?"
    r"(?:\s*(?:the|an?)\b)?[\s(\"'\[]*",
    re.IGNORECASE,
)
_LABEL_BEFORE = re.compile(r"(?<![A-Za-z])(?:option|choice|letter)s?\s*$", re.IGNORECASE)
_NAMED_BEFORE = re.compile(
    r"(?<![A-Za-z])(?:answer(?: is|:)?|antwort(?: ist|:)?|réponse(?: est|:)?|respuesta(?: es|:)?"
    r"|opción|opção|resposta(?: é|:)?|вариант|ответ:?|jawaban(?:nya)?(?: adalah|:)?|pilihan|opsi"
    r"|(?:cevap|yanıt):?)\s*$|(?:选项?|選項?|答案[是为為:]?|選択肢|答え)\s*$"
    r"|(?:उत्तर|जवाब|विकल्प|উত্তর(?:টি)?|বিকল্প|হলো?|جواب|آپشن|الخيار)\s*$",
    re.IGNORECASE,
)


_PLAIN_QUOTES = str.maketrans(
    dict.fromkeys("\u2018\u2019", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb「」『』", '"')
)


def normalise_text(text: str) -> str:
    """The text in one writing: full-width letters as usual ones, numbers in digits."""
    return numbers_as_digits(unicodedata.normalize("NFKC", text).translate(_PLAIN_QUOTES))


@lru_cache(maxsize=4096)
def option_pattern(option: str) -> re.Pattern[str] | None:
    """Finds the words of an option, whatever case, punctuation and articles; None without any."""
    tokens = _TOKEN.findall(re.sub(r"(?<=\w)'s\b", "", normalise_text(option)))
    tokens = [t for t in tokens if t.lower() not in _ARTICLES] or tokens
    if not tokens:
        return None
    pattern = ""
    for before, token in zip(["", *tokens], tokens, strict=False):
        if before:
            pattern += _between(before, token)
        pattern += _SPELLINGS.get(token.lower()) or re.escape(token)
    return re.compile(_left_edge(tokens[0]) + pattern + _right_edge(tokens[-1]), re.IGNORECASE)


def _between(before: str, after: str) -> str:
    if re.match(_UNSPACED, before) and re.match(_UNSPACED, after):
        return r"\s*"
    if before[-1].isdigit() != after[0].isdigit():
        return r"[\W_]*"
    return r"(?:'s\b)?[\W_]+(?:(?:an?|the)[\W_]+)*"


def _left_edge(token: str) -> str:
    if re.match(_UNSPACED, token):
        return ""
    if token[0].isdigit():
        return rf"(?<!\d[.,:/])(?:(?<![\w-])|(?<={_UNSPACED}))"
    article = r"(?:ال)?" if "\u0600" <= token[0] <= "\u06ff" else ""
    return rf"(?:(?<![^\W_])|(?<={_UNSPACED})){article}"


def _right_edge(token: str) -> str:
    if re.match(_UNSPACED, token):
        return ""
    after_number = r"(?![.,:/]?\d)" if token[-1].isdigit() else ""
    return rf"{after_number}(?!(?!{_UNSPACED})[^\W_])"


@dataclass(frozen=True, slots=True)
class Mention:
    """Characters `start` to `end` of a text name the option of that index."""

    index: int
    start: int
    end: int
    denied: bool


def find_mentions(text: str, options: Sequence[str]) -> list[Mention]:
    """Every place of a normalised text that names an option, in order.

    Inside the words of one option no other is named: "dark red" is not "red", and the B of
    "plan B" is no letter where that is an option.
    """
    spelled = [
        (match.start(), match.end(), index)
        for index, option in enumerate(options)
        if (pattern := option_pattern(option)) is not None
        for match in pattern.finditer(text)
    ]
    spans = _letters(text, _widest(spelled), len(options))
    clauses = Clauses.of(text)
    mentions: list[Mention] = []
    for listed in _lists(text, sorted(spans)):
        # "neither A, B nor C", "A, C and D are wrong": what denies one of a list denies all.
        denied = [clauses.denies(start, end) for start, end, _ in listed]
        mentions += [Mention(index, start, end, any(denied)) for start, end, index in listed]
    return mentions


_Place = tuple[int, int, int]
"""(start, end, index of the option)."""


def _lists(text: str, mentions: list[_Place]) -> list[list[_Place]]:
    """The places, those of one list together: "A, B or C", with a word such as "or" in it."""
    runs: list[list[_Place]] = []
    joined: list[bool] = []
    for mention in mentions:
        gap = _JOINT.fullmatch(text, runs[-1][-1][1], mention[0]) if runs else None
        if gap is None:
            runs.append([mention])
            joined.append(False)
        else:
            runs[-1].append(mention)
            joined[-1] = joined[-1] or gap["word"] is not None
    return [
        group
        for run, is_list in zip(runs, joined, strict=True)
        for group in ([run] if is_list else [[mention] for mention in run])
    ]


def _widest(mentions: list[_Place]) -> list[_Place]:
    """Those that do not lie inside a wider one."""
    widest: list[_Place] = []
    # Of those that begin at one place the widest comes first.
    for mention in sorted(mentions, key=lambda mention: (mention[0], -mention[1])):
        # Options of equal words are both named there.
        if not widest or mention[1] > widest[-1][1] or mention[:2] == widest[-1][:2]:
            widest.append(mention)
    return widest


def _letters(text: str, spelled: list[_Place], count: int) -> list[_Place]:
    """The places of words and of letters; "B. blue" is one place."""
    starts = {(start, index): end for start, end, index in spelled}
    inside = sorted((start, end) for start, end, _ in spelled)
    merged: set[tuple[int, int]] = set()
    mentions: list[_Place] = []
    for match in _LETTER.finditer(text):
        index = LETTERS.find(match["letter"].upper())
        start = match.start("letter")
        before = bisect_right(inside, (start, len(text))) - 1
        if index >= count or (before >= 0 and start < inside[before][1]):
            continue
        gap = _DELIMITER.match(text, match.end("letter"))
        spelled_end = None if gap is None else starts.get((gap.end(), index))
        if gap is not None and spelled_end is not None:
            merged.add((gap.end(), index))
            mentions.append((match.start(), spelled_end, index))
        elif _is_letter(text, match):
            mentions.append((match.start(), match.end(), index))
    return mentions + [mention for mention in spelled if (mention[0], mention[2]) not in merged]


def _is_letter(text: str, match: re.Match[str]) -> bool:
    """Whether a single letter names an option here: "A" may be an article, "I" a person, and the
    letter of "vitamin C" stands behind a word that no answer stands behind."""
    letter = match["letter"]
    if match["open"][-1:] in tuple("([{<") and match["close"][:1] in tuple(")]}>"):
        return True
    before, after = text[: match.start()][-40:].rstrip(" "), text[match.end() : match.end() + 20]
    fits_after = _AFTER_LETTER.match(after) is not None
    is_labelled = _LABEL_BEFORE.search(before) is not None
    if is_labelled and (letter.isupper() or fits_after):
        return True
    if letter in "AaIi" and not fits_after:
        return False
    if is_labelled or _NAMED_BEFORE.search(before):
        return True
    behind_a_word = before[-1:].isalnum()
    return (
        letter.isupper()
        and (fits_after or behind_a_word)
        and bool(not before or _BEFORE_LETTER.search(before))
    )
