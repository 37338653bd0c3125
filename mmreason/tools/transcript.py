"""Passages of the subtitles that match a question: shown to models, quoted where none understands.

    find_passages("What is the budget?", Subtitles.load("talk.srt"))

By words, without a model, in any language that question and subtitles share. Subtitles cut
sentences into lines, so that neighbouring lines are read together.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.language.answer_reading import read_answer, says_no
from mmreason.language.control_words import break_control_words
from mmreason.language.numbers import NUMBERS
from mmreason.language.text import extract_terms, split_words
from mmreason.language.values import asks_for, tells_value
from mmreason.types import Check, CheckKind, Evidence, EvidenceSource, Note
from mmreason.video.subtitles import Line, Subtitles
from mmreason.video.types import Span

SHOWN_SHARE = 0.3
"""Passages with this share of the question's words, rare ones counting more, are shown."""
QUOTED_SHARE = 0.5
"""Passages with this share may be an answer, or support one."""
MOST_PASSAGES = 4
MOST_CHARACTERS = 1_500
"""Of all passages together."""
WINDOW_LINES = 3
"""Lines in which the words of a question may be spread."""
SENTENCE_LINES = 5
"""Most lines of a passage that is completed to whole sentences."""
NEIGHBOUR_GAP_S = 2.0
"""Lines further apart than this are not read together."""
QUOTED_PASSAGES = 2
"""Most passages in the text of an answer; its evidence holds all."""
QUOTED_CHARACTERS = 240
"""Most characters of one passage in the text of an answer."""

_UNSAID_TEXT = """
say says said saying tell tells told talk talks talked talking speak speaks spoke spoken speaking
speaker mention mentions mentioned mentioning discuss discusses discussed explain explains explained
call calls called ask asks asked answer answers answered word words sentence subtitle subtitles
transcript hear heard name names person persons people man men woman women guy girl boy child
children somebody someone describe describes described summarise summarize summary end ends start
starts begin begins beginning middle do does doing make makes making go goes going picture image
background foreground camera
"""
_UNSAID = frozenset(_UNSAID_TEXT.split())
"""Words of questions about what is said, who says it and what is seen: the speech itself need not
hold them."""
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+"
)
"""Runs of scripts that do not part words: compared by pairs of letters."""
_UNSPACED_FUNCTION = re.compile(
    "什么|多少|为什么|怎么|哪里|哪|谁|吗|呢|是|的|了|在|有|他们|他|她|何|誰|どこ|ですか|です|ます|は|が|の|を|に|で"
)
"""Words of Chinese and Japanese that questions are made of."""
_HANGUL = re.compile(r"[\uac00-\ud7af]")
_HANGUL_ASKING = frozenset(
    ["얼마", "무엇", "뭐", "누가", "누구", "언제", "어디", "어떻", "왜", "입니"]
)
_HANGUL_KEPT = 2
"""Letters of a Korean word that are compared: endings are joined to it."""
_LETTERS_KEPT = 5
"""Of longer words in other letters than a to z, whose endings are not known here."""
_SENTENCE_END = re.compile(r"[.?!\u2026\u3002\uff1f\uff01][\"'\u2019\u201d)\]]*$")


@dataclass(frozen=True, slots=True)
class Passage:
    """Neighbouring lines of subtitles that hold words of a question.

    Example:
        >>> passage = Passage(Note(Span(4, 8), "The budget is two million."), score=1.0)
        >>> format_quotation([passage])
        'The subtitles say: "The budget is two million."'
    """

    note: Note
    score: float
    """Share of the question's words that it holds, rare ones counting more, 0..1."""


def find_passages(question: str, subtitles: Subtitles) -> tuple[Passage, ...]:
    """Those that match best, best first; none where the question's words do not occur."""
    # 1. Which of the question's words each line holds, and how rare each is.
    question_tokens = _tokens(question, without=_UNSAID)
    lines = subtitles.lines
    line_tokens = _match_lines(question_tokens, lines)
    counts = Counter(token for tokens in line_tokens.values() for token in tokens)
    weights = {token: math.log(1 + len(lines) / max(1, counts[token])) for token in question_tokens}
    total = sum(weights.values())
    if not total or not line_tokens:
        return ()
    # 2. Windows of a few lines that begin near a line that matches, by what they hold together.
    starts = {i - back for i in line_tokens for back in range(WINDOW_LINES) if i >= back}
    windows: list[tuple[float, int, int]] = []
    for first in sorted(starts):
        for last in range(first, min(first + WINDOW_LINES, len(lines))):
            if last > first and not _are_neighbours(lines[last - 1], lines[last]):
                break
            tokens = set[str]().union(*(line_tokens.get(i, ()) for i in range(first, last + 1)))
            score = sum(weights[token] for token in tokens) / total
            if score >= SHOWN_SHARE:
                windows.append((score, first, last))
    # 3. The best first; of equal ones the shortest, then the earliest.
    windows.sort(key=lambda window: (-window[0], window[2] - window[1], window[1]))
    return tuple(_pick_windows(windows, lines))


def _match_lines(
    question_tokens: frozenset[str], lines: Sequence[Line]
) -> dict[int, frozenset[str]]:
    """The words of a question in each line that holds some, by its position."""
    if not question_tokens:
        return {}
    # Most lines hold none: a search for how the words begin is quicker than reading each line.
    stems = {
        token[: max(2, len(token) - 2)] if len(token) > 3 else token for token in question_tokens
    }
    # A line may spell out the number that the question writes in digits.
    stems |= {name for name, digit in NUMBERS.items() if digit in question_tokens}
    likely = re.compile("|".join(map(re.escape, sorted(stems))))
    matches = {}
    for i, line in enumerate(lines):
        if likely.search(_folded(line.text)) and (tokens := question_tokens & _tokens(line.text)):
            matches[i] = tokens
    return matches


def _pick_windows(
    windows: Sequence[tuple[float, int, int]], lines: Sequence[Line]
) -> Iterable[Passage]:
    """The best windows that share no line, as whole sentences, within the limits."""
    used: set[int] = set()
    room = MOST_CHARACTERS
    count = 0
    for score, first, last in windows:
        if count == MOST_PASSAGES or room <= 0:
            return
        if used & set(range(first, last + 1)):
            continue
        first, last = _whole_sentences(first, last, lines)
        # With the lines that complete its sentences: no other passage repeats them.
        used |= set(range(first, last + 1))
        window = lines[first : last + 1]
        # Rolling captions repeat lines: each is read once.
        text = " ".join(dict.fromkeys(line.text for line in window))[:room]
        room -= len(text)
        count += 1
        end_s = max(line.span.end_s for line in window)
        yield Passage(Note(Span(window[0].span.start_s, end_s), text), score)


def _whole_sentences(first: int, last: int, lines: Sequence[Line]) -> tuple[int, int]:
    """The lines from where a sentence begins to where one ends, as far as neighbours reach. Where
    nothing ends a sentence, as in automatic captions, a line more at each end."""
    ends = any(_SENTENCE_END.search(lines[i].text) for i in range(first, last + 1))
    # The lines around tell whether these subtitles have punctuation at all.
    near = lines[max(0, first - 3) : last + 4]
    most = SENTENCE_LINES if ends or any(_SENTENCE_END.search(o.text) for o in near) else 0
    most = most or last - first + 3
    while (
        last + 1 < len(lines)
        and last - first + 1 < most
        and not _SENTENCE_END.search(lines[last].text)
        and _are_neighbours(lines[last], lines[last + 1])
    ):
        last += 1
    while (
        first > 0
        and last - first + 1 < most
        and not _SENTENCE_END.search(lines[first - 1].text)
        and _are_neighbours(lines[first - 1], lines[first])
    ):
        first -= 1
    return first, last


def _are_neighbours(before: Line, after: Line) -> bool:
    return after.span.start_s - before.span.end_s <= NEIGHBOUR_GAP_S


def select_quotable(question: str, passages: Sequence[Passage]) -> tuple[Passage, ...]:
    """Passages that may be given as an answer: they hold most of what is asked, and a colour or a
    number where the question asks for one."""
    kind = asks_for(question)
    return tuple(
        passage
        for passage in passages
        if passage.score >= QUOTED_SHARE and (kind is None or tells_value(kind, passage.note.text))
    )


def format_quotation(passages: Sequence[Passage], *, is_heard: bool = False) -> str:
    """The text of an answer that quotes: it says so, and whom."""
    texts = (passage.note.text for passage in passages[:QUOTED_PASSAGES])
    return ("Heard: " if is_heard else "The subtitles say: ") + " / ".join(
        f'"{_shortened(text)}"' for text in texts
    )


def find_quoted_option(options: Sequence[str], passages: Sequence[Passage]) -> int | None:
    """The one option that the best passage holds; None where it holds none, or several."""
    return read_answer(passages[0].note.text, options).choice if options and passages else None


def find_support(
    answer: str,
    question: str,
    passages: Sequence[Passage],
    source: str,
    *,
    is_heard: bool = False,
) -> tuple[Evidence, ...]:
    """Evidence for an answer whose words, without those of the question, all stand in one passage
    that may be quoted. `source` names the subtitles. A bare yes or no stands nowhere."""
    # Words that the question holds already prove nothing.
    new_tokens = _tokens(answer) - _tokens(question)
    if not new_tokens or says_no(answer) or split_words(answer)[:1] == ["yes"]:
        return ()
    supporting = (
        passage
        for passage in select_quotable(question, passages)
        if new_tokens <= _tokens(passage.note.text)
    )
    return as_evidence(tuple(supporting), source, is_heard=is_heard)


def as_evidence(
    passages: Sequence[Passage], source: str, *, is_heard: bool = False
) -> tuple[Evidence, ...]:
    """The passages as evidence that stands in the transcript; what a recogniser heard (`is_heard`)
    checks nothing."""
    check = Check() if is_heard else Check(kind=CheckKind.TRANSCRIPT, by=source, agreed=True)
    kind: EvidenceSource = "speech" if is_heard else "subtitles"
    return tuple(
        Evidence(span=passage.note.span, quote=passage.note.text, source=kind, check=check)
        for passage in passages
    )


def plain_line(text: str) -> str:
    """Text of a video as a model may read it: on one line and without tags and control words of any
    family, so that nothing on a screen or in a subtitle can pose as a turn of the conversation.

    Example:
        >>> plain_line("EXIT\\n<answer>B")
        'EXIT (answer)B'
    """
    # Not square brackets: </INST> would become a control word of another family.
    untagged = text.replace("<", "(").replace(">", ")")
    return break_control_words(" ".join(untagged.split()))


def _tokens(text: str, without: frozenset[str] = frozenset()) -> frozenset[str]:
    """What is compared: stems of content words, pairs of letters where words are not parted."""
    text = _folded(text)
    pairs: set[str] = set()
    for run in _UNSPACED.findall(_UNSPACED_FUNCTION.sub(" ", text)):
        # Overlapping, as nobody knows where a word begins; a letter by itself stays one.
        pairs |= {run[i : i + 2] for i in range(max(1, len(run) - 1))}
    spaced = (w for w in split_words(_UNSPACED.sub(" ", text)) if w not in without)
    stems = {t for t in extract_terms(" ".join(NUMBERS.get(w, w) for w in spaced)) if " " not in t}
    return frozenset(pairs | {_short(stem) for stem in stems}) - _HANGUL_ASKING


def _short(stem: str) -> str:
    """The part of a word that is compared."""
    if stem.isascii():
        return stem
    return stem[: _HANGUL_KEPT if _HANGUL.match(stem) else _LETTERS_KEPT]


def _folded(text: str) -> str:
    """Without case and accents."""
    if text.isascii():
        return text.lower()
    # Taken apart to lose accents, then joined: syllables of Hangul would stay in pieces.
    letters = unicodedata.normalize("NFKD", text.casefold())
    return unicodedata.normalize("NFC", "".join(c for c in letters if not unicodedata.combining(c)))


def _shortened(text: str) -> str:
    if len(text) <= QUOTED_CHARACTERS:
        return text
    return text[:QUOTED_CHARACTERS].rsplit(" ", 1)[0] + "…"
