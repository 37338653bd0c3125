"""Reads what a model answers: the one reader for agent, rewards and evaluation.

Thoughts and wrapping are taken off; then an answer is a choice where options are given, a yes or a
no, a refusal, or text. What names several options, or none, picks none: nothing is guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mmreason.language.hedges import expresses_doubt
from mmreason.language.markup import tagged_answer, unwrap_markup
from mmreason.language.negation import is_denied_by
from mmreason.language.numbers import NUMBERS
from mmreason.language.option_mentions import Mention, find_mentions, normalise_text, option_pattern
from mmreason.language.prompts import LETTERS
from mmreason.language.refusals import declines_to_answer, is_out_of_domain, says_absent
from mmreason.language.text import FUNCTION_WORDS, Terms, split_words, stem_word
from mmreason.language.thoughts import split_thought

TEXT_LIMIT = 20_000
"""An answer of more characters is not read."""


class AnswerKind(StrEnum):
    """What a text turned out to be."""

    CHOICE = "choice"
    """It picks one of the options."""
    YES = "yes"
    NO = "no"
    ABSENT = "absent"
    """It says that there is no answer: not shown, not known, none."""
    TEXT = "text"
    """It says something else. With options: something that is none of them."""
    UNREADABLE = "unreadable"
    """Nothing is said, or several of the options are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReading:
    """What a text answers.

    Example: `read_answer("<think>hm</think>The answer is **B**.", ("red", "blue"))` is
    `AnswerReading(kind=AnswerKind.CHOICE, said="B.", choice=1)`.
    """

    kind: AnswerKind
    said: str
    """The answer without thought, markup and "The answer is"; empty where nothing is said."""
    choice: int | None = None
    """Index of the option that is picked."""
    is_hedged: bool = False
    """Whether it is said with doubt: "probably", "vielleicht", "可能"."""


def read_answer(text: str, options: Sequence[str] = (), question: str = "") -> AnswerReading:
    """What `text` answers, picked from `options` where there are any.

    The `question` helps to tell refusals from answers such as "The red book is not there."
    """
    written = split_thought(text)[1]
    # The answer stands at the end, and patterns take long over endless text.
    answer = unwrap_markup(tagged_answer(written[-10 * TEXT_LIMIT :]))
    if len(answer) > TEXT_LIMIT or not re.search(r"\w", answer):
        return AnswerReading(kind=AnswerKind.UNREADABLE, said="")
    plain = _without_lead(answer)
    if not options:
        kind = _kind_of(plain, question)
        return AnswerReading(kind=kind, said=plain, is_hedged=_is_hedged(kind, answer))
    choice, several = _pick(normalise_text(answer), options, question)
    if choice is not None:
        is_hedged = _is_hedged(AnswerKind.CHOICE, answer)
        return AnswerReading(kind=AnswerKind.CHOICE, said=plain, choice=choice, is_hedged=is_hedged)
    kind = AnswerKind.UNREADABLE if several else _kind_of(plain, question)
    return AnswerReading(kind=kind, said=plain, is_hedged=_is_hedged(kind, answer))


def _is_hedged(kind: AnswerKind, answer: str) -> bool:
    return kind is not AnswerKind.ABSENT and expresses_doubt(answer)


def says_no(text: str) -> bool:
    """Whether the answer to a question for yes or no is no, or that the thing is not there."""
    kind = read_answer(text).kind
    return kind is AnswerKind.NO or (says_absent(text) and not is_out_of_domain(text))


_YES = (
    r"(?:yes|yeah|yep|yup|ja|jawohl|oui|s[ií]|sim|да|是的?|对|對|はい|ええ|네|예|نعم"
    r"|(?:जी )?(?:हाँ|हां)|হ্যাঁ|হ্যা|(?:جی )?ہاں|جی|ya|iya|evet|tak)"
)
_NO = (
    r"(?:no|nope|nein|non|não|nee|нет|不是?|不对|否|没有|沒有|いいえ|아니[요오]?|아뇨|لا"
    r"|(?:जी )?नहीं|না|(?:جی )?نہیں|tidak|bukan|hayır|nie)"
)
_END = (
    r"(?=\s*(?:$|[.,;:!?\n。，；！、।۔،؛)-])|\s+(?:it|he|she|they|there|the|that|this|you|we|i)\b)"
)
_YES_START = re.compile(rf"\W*{_YES}{_END}", re.IGNORECASE)
# "No. 3" begins with a number, not with a no.
_NO_START = re.compile(rf"\W*(?!no\.\s*\d){_NO}{_END}", re.IGNORECASE)


def _kind_of(answer: str, question: str) -> AnswerKind:
    if _YES_START.match(answer):
        return AnswerKind.YES
    if _NO_START.match(answer):
        return AnswerKind.NO
    if declines_to_answer(answer, question):
        return AnswerKind.ABSENT
    # "No dogs are visible" has nothing that parts the no from what follows.
    return AnswerKind.NO if answer.lower().startswith("no ") else AnswerKind.TEXT


_ADJECTIVE = r"(?:final|correct|right|best|most likely|most accurate|chosen|appropriate|only|true)"
_ANSWER_WORDS = (
    # a phrase that names the answer, and what parts it from the answer
    r"(?:i (?:think|believe|guess|would say)(?: that)?\s+)?"
    rf"(?:(?:so|thus|therefore|hence|and|now)\W+)?(?:(?:the|my|our)\s+)?(?:{_ADJECTIVE}\s+)*"
    r"[\[【]?(?:answer|option|choice|response|conclusion)(?:\s+(?:here|to (?:the|this) question))?"
    r"(?:\s+(?:is|was|would be|should be|must be|has to be)\b(?!n't)(?:\s*(?:that|clearly"
    r"|option))?\s*[:\n]?|'s\b|\s*[:=\n\]】])",
    r"(?:(?:die|meine)\s+)?(?:(?:richtige|korrekte|beste|endgültige)\s+)?(?:antwort|lösung)"
    r"(?:\s+(?:ist|lautet|wäre)(?: option)?\s*:?|\s*[:=\n])",
    r"(?:(?:la|ma)\s+)?(?:bonne\s+|meilleure\s+)?(?:réponse|solution)(?:\s+(?:correcte|finale"
    r"|exacte))?"
    r"(?:\s+(?:est|serait)(?:\s+(?:donc|la|l'option))*\s*:?|\s*[:=\n])",
    r"(?:(?:la|mi)\s+)?(?:respuesta|opción)(?:\s+(?:correcta|final))?"
    r"(?:\s+(?:es|sería)(?:\s+(?:la|opción))*\s*:?|\s*[:=\n])",
    r"(?:(?:a|minha)\s+)?(?:resposta|opção|alternativa)(?:\s+(?:correta|certa|final))?"
    r"(?:\s+(?:é|seria)(?:\s+(?:a|opção))*\s*:?|\s*[:=\n])",
    r"(?:la\s+)?(?:risposta|opzione)(?:\s+(?:corretta|giusta|finale))?(?:\s+è(?:\s+la)?\s*:?"
    r"|\s*[:=\n])",
    r"(?:het\s+)?(?:juiste\s+)?antwoord(?:\s+is\s*:?|\s*[:=\n])",
    r"(?:(?:правильный|верный|мой|окончательный)\s+)?(?:ответ|вариант)(?:\s*[-\u2013\u2014:=\n]"
    r"|\s+это\s)",
    r"(?:(?:doğru|poprawna|oikea|rätt|rett|rigtigt?|správná)\s+)?"
    r"(?:cevap|odpowiedź|đáp án(?: đúng)?|jawaban(?:nya)?|svar(?:et)?|vastaus|odpověď)"
    r"(?:\s+yang (?:benar|tepat|paling tepat))?(?:\s+(?:to|je|là|adalah|är|er|on)\s"
    r"|\s*[:=\n\s])",
    r"(?:所以|因此)?[,，]?(?:我的|最终|正确|最佳|的)*(?:答案|选项|選項|回答)(?:应该|應該|就)?(?:[是为為选選](?!不)|[::\n])",
    r"(?:正解|答え|回答|解答)(?:は|[::\n])",
    r"(?:정답|답|대답|답변)(?:은|는|[::\n])",
    r"(?:الإجابة|الجواب|الخيار)(?:\s+(?:الصحيحة|الصحيح|النهائية))?(?:\s+(?:هي|هو)\b\s*:?|\s*[:\n])",
    r"(?:सही\s+)?(?:उत्तर|जवाब)(?:\s+है)?\s*[:\n-]",
    r"(?:সঠিক\s+)?উত্তর(?:টি)?(?:\s+(?:হলো|হল))?\s*[:\n-]",
    r"(?:صحیح\s+|درست\s+)?جواب(?:\s+ہے)?\s*[:\n-]",
    r"(?:doğru\s+)?yanıt\s*[:\n-]",
)
_LEAD = re.compile(
    r"(?:(?<=[.!?;,\n。！，])|^)\s*(?:" + "|".join(_ANSWER_WORDS) + r")[ \t]*", re.IGNORECASE
)
"""Stands in front of the answer: "The correct answer is", "Answer:", "答案是"."""
_CONCLUSION = re.compile(
    r"(?:(?<=[.!?;\n。])|^)\s*(?:so|therefore|thus|hence|in conclusion|overall|in summary"
    r"|i(?:'d| would|'ll| will)? (?:choose|pick|select|go with)"
    r"|donc|por lo tanto|portanto|поэтому|所以|因此)\b[, ]*",
    re.IGNORECASE,
)
_LETTER_FORM = re.compile(
    r"\W*?(?:(?:option|choice|answer|letter|opción|opção|вариант|विकल्प|选项?|選項?|选择)\W*)?"
    r"[(\[{<\"']*(?P<letter>[A-Za-z])"
    r"(?:[)\]}>\"']+[.:,]?|[.:。、।](?!\w)|\s*$"
    r"|(?P<weak>,(?=\s|[^\x00-\x7f])|\s+[-\u2013\u2014=]\s"
    r"|\s+(?=(?:because|since|weil|denn|parce que|car|porque|perché)\b)))\s*"
)
"""A letter as whoever picks it writes it, with what parts it from what follows. Where little does,
only a capital is taken for one: `weak`."""
_REASON = re.compile(
    r"\b(?:because|since|as|weil|parce que|car|porque|потому|so)\b|因为|ので|から", re.I
)
_UNSURE = re.compile(
    r"\b(?:not (?:\w+ )?(?:sure|certain)|unsure|no idea)\b(?:\s*[.,;!?]|.*\bbut\b)",
    re.IGNORECASE | re.DOTALL,
)
_AROUND_WORDS = re.compile(
    r"^(?:[^\w-]|-(?!\d))*(?:(?:an?|the)\s+)?(?=[\w-])|[\s.!?。！？,;:\"')\]%]+$", re.IGNORECASE
)
_WRONG = re.compile(r"\W*(?:no|wrong|incorrect|false|not)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<!\b[A-Za-z])[.!?](?=\s|$)|[\n。！？।۔]")


def _without_lead(answer: str) -> str:
    """The answer without "The answer is", where something stands behind it."""
    ends = [lead.end() for lead in _LEAD.finditer(answer)]
    # The last one counts, since models reason first and state the answer again.
    remainder = unwrap_markup(answer[ends[-1] :]) if ends else ""
    return remainder if re.search(r"\w", remainder) else answer


def _pick(answer: str, options: Sequence[str], question: str) -> tuple[int | None, bool]:
    """(the index of the one option that is picked, whether several are named)."""
    # 1. All of the text is one option.
    exact = _whole(answer, options)
    if exact is not None:
        return (exact.pop(), False) if len(exact) == 1 else (None, True)
    # 2. What stands behind "The answer is", else behind a conclusion.
    for lead in (_LEAD, _CONCLUSION):
        starts = [match.end() for match in lead.finditer(answer)]
        if starts and (picked := _pick_stated(answer[starts[-1] :], options)) is not None:
            return picked, False
    # 3. A line of its own.
    picked = _pick_line(answer, options)
    if picked is not None:
        return picked, False
    # 4. A yes or no with which one option begins.
    yes_no = _pick_yes_no(answer, options)
    if yes_no is not None:
        return yes_no, False
    # 5. The one option that the text names.
    mentions = find_mentions(answer, options)
    if declines_to_answer(answer, question) and not _UNSURE.search(answer):
        # An option may itself say that there is nothing.
        mentions = [
            m for m in mentions if declines_to_answer(options[m.index]) or _is_yes_no(options)
        ]
    picked, several = _only(mentions)
    # 6. In a single sentence what stands before the reason is the answer.
    reason = _REASON.search(answer)
    if several and reason is not None and _SENTENCE_END.search(answer.rstrip(" .!")) is None:
        picked, _ = _only([m for m in mentions if m.start < reason.start()])
    return picked, several and picked is None


def _only(mentions: Sequence[Mention]) -> tuple[int | None, bool]:
    """The one option that the mentions speak for; one that is denied as well is none."""
    named = {m.index for m in mentions if not m.denied} - {m.index for m in mentions if m.denied}
    return (named.pop(), False) if len(named) == 1 else (None, len(named) > 1)


def _whole(answer: str, options: Sequence[str]) -> set[int] | None:
    """Options that all of the text names, by letter or by words; None where it says more."""
    form = _LETTER_FORM.fullmatch(answer.strip().rstrip(" .!?"))
    letter = -1 if form is None else LETTERS.find(form["letter"].upper())
    letters = {letter} if 0 <= letter < len(options) else set[int]()
    bare = _AROUND_WORDS.sub("", answer)
    worded: set[int] = set()
    for index, option in enumerate(options):
        pattern = option_pattern(option)
        if pattern is not None and pattern.fullmatch(bare):
            worded.add(index)
    # "$5" and "5%" differ in signs alone.
    alike = {i for i in worded if normalise_text(options[i]).lower() == answer.strip(" .").lower()}
    return letters | (alike or worded) or None


def _pick_stated(stated: str, options: Sequence[str]) -> int | None:
    """The option in a text behind "The answer is": by its first sentence, else by all of it."""
    stated = unwrap_markup(stated)
    exact = _whole(stated, options)
    if exact is not None:
        return exact.pop() if len(exact) == 1 else None
    picked = _pick_lettered(stated, options)
    if picked is not None:
        return picked
    end = _SENTENCE_END.search(stated)
    first = stated if end is None else stated[: end.start()]
    return _only(find_mentions(first, options))[0]


def _pick_lettered(text: str, options: Sequence[str]) -> int | None:
    """The option of a text that begins with its letter: "B. blue", "B, because it is blue". What
    follows in that sentence may not name another, and no other sentence may begin so."""
    form = _LETTER_FORM.match(text)
    if form is None or (form["weak"] and form["letter"].islower()):
        return None
    index = LETTERS.find(form["letter"].upper())
    if index >= len(options):
        return None
    mentions = find_mentions(text, options)
    is_denied = any(m.index == index and m.denied and m.start < form.end() for m in mentions)
    if is_denied or is_denied_by(text[form.end() :]):
        return None
    sentences = _SENTENCE_END.split(text[form.end() :])
    for sentence in sentences:
        other = _LETTER_FORM.match(sentence)
        if other is not None and other["letter"].upper() != form["letter"].upper():
            return None
    # A reason may name other options and picks none.
    mentions = find_mentions(_REASON.split(sentences[0])[0], options)
    if any(m.denied and m.index == index for m in mentions):
        return None
    choice = _only(mentions)
    if choice == (None, False):
        return None if _WRONG.match(sentences[0]) else index
    return index if choice == (index, False) else None


def _pick_line(answer: str, options: Sequence[str]) -> int | None:
    """The option of the one line that is nothing but a pick, such as the last one behind a
    description; letters alone go before letters with their text."""
    lines = [line.strip() for line in answer.split("\n") if line.strip()]
    alone = [whole for line in lines if (whole := _whole(line, options)) is not None]
    if alone:
        picks = set().union(*alone)
        return picks.pop() if len(picks) == 1 else None
    starts = [picked for line in lines if (picked := _pick_lettered(line, options)) is not None]
    return starts[0] if len(set(starts)) == 1 else None


def _is_yes_no(options: Sequence[str]) -> bool:
    return any(_NO_START.match(option) for option in options)


def _pick_yes_no(answer: str, options: Sequence[str]) -> int | None:
    """The one option that begins with the yes or no that the text begins with."""
    for start in (_YES_START, _NO_START):
        if start.match(answer):
            matching = [i for i, option in enumerate(options) if start.match(option)]
            return matching[0] if len(matching) == 1 else None
    return None


_HEDGES = frozenset(["think", "believe", "guess", "probably", "likely", "maybe", "perhaps"])


def normalise_answer(text: str, question: str = "") -> Terms:
    """What an answer says, for comparison: stems in order, without filler and the question's words.

    "The star is red." and "red" have the same essence for "What colour is the star?".
    """
    keep = {"not", "no", "yes"}
    text = read_answer(text).said or text
    filler = (FUNCTION_WORDS - keep) | _HEDGES
    # Number words and figures compare as equal.
    plain = [NUMBERS.get(w, stem_word(w)) for w in split_words(text) if w not in filler]
    question_words = {NUMBERS.get(w, stem_word(w)) for w in split_words(question)} - keep
    # Where filler and the question's words are all there is, they are the answer.
    return (
        tuple(w for w in plain if w not in question_words)
        or tuple(plain)
        or tuple(split_words(text))
    )
