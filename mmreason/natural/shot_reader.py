"""What a model by script writes, by prompt and times of frames: captions, answers, scores, ranks.

It finds out what it is asked by the exact words of an item's question, and answers from the shots
whose frames it is shown and from what stands in the text. What is random hangs on what is asked and
shown, by a hash: the same request is always answered the same way, and other frames give another
chance.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mmreason.language.prompts import LETTERS
from mmreason.natural.habits import Habits
from mmreason.natural.items import NaturalItem
from mmreason.natural.records import VideoScript
from mmreason.natural.texts import LANGUAGE_NAMES, LANGUAGES, Language, read_shared_texts, say
from mmreason.natural.tokens import count_tokens
from mmreason.natural.wording import DETAILS, say_shot

LEAST_SUMMARY_SHOTS = 3
"""Different shots that tell what the whole video is about."""
_SCALE = re.compile(r"\b1\b[^.\n]{0,80}?\b4\b")
_ONE_WORD = re.compile(r"with one word: ([^.\n]+)")
_JSON_KEY = re.compile(r'"(\w+)"\s*:\s*(\[?)')


@dataclass
class ShotReader:
    """What a model with these habits writes, by (prompt, times of frames)."""

    script: VideoScript
    items: tuple[NaturalItem, ...]
    habits: Habits
    _starts_s: list[float] = field(init=False)
    _sentences: dict[Language, list[dict[str, str]]] = field(init=False)

    def __post_init__(self) -> None:
        self._starts_s = [shot.span.start_s for shot in self.script.shots]
        # The longest question first: one may be the beginning of another.
        self.items = tuple(sorted(self.items, key=lambda item: -len(item.question)))
        self._sentences = {
            language: [say_shot(self.script.genre, shot, language) for shot in self.script.shots]
            for language in LANGUAGES
        }

    def reply(self, text: str, times_s: Sequence[float], most_tokens: int) -> str:
        """The reply to a prompt with frames."""
        item = next((item for item in self.items if item.question in text), None)
        language = item.language if item else _language_asked(text)
        if self._draw(text, times_s, "refuse") < self.habits.refusal_rate:
            return say(read_shared_texts().refusal, language)
        wants_json = "JSON" in text
        if item is None:
            # A thought, and the frame of a JSON object, take about 60 tokens each.
            room = most_tokens - 60 * self.habits.thinks - 60 * wants_json
            spoken = self.caption(times_s, language, room)
            if wants_json:
                spoken = self._fill_json(text, {}, spoken, times_s, language)
        else:
            spoken = self._reply_to_item(item, text, times_s, wants_json)
        return _think(text) + spoken if self.habits.thinks else spoken

    def _reply_to_item(
        self, item: NaturalItem, text: str, times_s: Sequence[float], wants_json: bool
    ) -> str:
        shots = self._noticed(times_s)
        # Words of the question and its options may not pass for what the prompt tells.
        context = _without_question(text, item)
        # Requests are told apart by words of their prompts, the most special ones first.
        if "entries that help" in context:
            return self._rank(item, context)
        if _SCALE.search(context) and re.search(r"scor|rate|rating", context, re.IGNORECASE):
            score = self._score(item, shots)
            if wants_json:
                return self._fill_json(text, {"score": score}, "", times_s, item.language)
            return f"{score}: {self.caption(times_s[:1], item.language, 30)}"
        if one_word := _ONE_WORD.search(context):
            return _pick_word(item, re.findall(r"\w+", one_word[1].lower()), context)
        answer = self._answer(item, shots, context)
        if answer is None:
            # Told what to say, a model says that.
            absent = say(read_shared_texts().not_shown, item.language)
            answer = "not shown" if "not shown" in text.lower() else absent
        elif item.options and all(option in text for option in item.options):
            is_option = answer in item.options
            answer = f"{LETTERS[item.options.index(answer)]}. {answer}" if is_option else answer
        # A form that the prompt asks for: the times of the frames that show it on a line of theirs.
        if answer is not None and "seen at:" in context and _is_shown(answer, item):
            proof = self._pick_proof(item, times_s)
            answer += "\nseen at: " + ", ".join(f"{t:.1f}" for t in proof)
        if wants_json:
            return self._fill_json(text, {"answer": answer}, answer, times_s, item.language)
        if self.habits.is_verbose:
            return say(read_shared_texts().verbose, item.language).format(answer=answer)
        return answer

    def caption(self, times_s: Sequence[float], language: Language, most_tokens: int) -> str:
        """What the shots of these frames show: every event, then as many details as fit."""
        if self.habits.is_blind or self.habits.is_stubborn:
            return "A person does something in a room."
        texts = [self._told(index, times_s, language) for index in sorted(self._shots_at(times_s))]
        # The events come in any case; details get the room that they leave.
        chosen = [[sentences[0]] if sentences else [] for sentences in texts]
        room = most_tokens - sum(count_tokens(s) for caption_lines in chosen for s in caption_lines)
        # Details in turns, so that a long caption tells a little of each shot.
        for number in range(1, max((len(sentences) for sentences in texts), default=0)):
            for caption_lines, sentences in zip(chosen, texts, strict=True):
                if number < len(sentences) and count_tokens(sentences[number]) <= room:
                    caption_lines.append(sentences[number])
                    room -= count_tokens(sentences[number])
        return "\n".join(" ".join(caption_lines) for caption_lines in chosen) or "Nothing is shown."

    def _told(self, index: int, times_s: Sequence[float], language: Language) -> list[str]:
        """The sentences about one shot, as the habits let them through."""
        span = self.script.shots[index].span
        inside = [time_s for time_s in times_s if span.contains(time_s)]
        # Hangs on the frames: others of the same shot may be captioned rightly.
        if self._draw("caption", inside, "wrong") < self.habits.wrong_rate:
            count = len(self.script.shots)
            # Any shot but this one: the offset is 1 to count - 1.
            index = (index + 1 + int(self._draw("caption", inside, "other") * (count - 1))) % count
        sentences = self._sentences[language][index]
        filler = read_shared_texts().fillers[self.script.shots[index].filler]
        details = [
            sentences[name]
            for name in DETAILS
            if name in sentences
            # Hangs on the shot alone: a detail that is forgotten stays so, whatever is shown.
            and self._draw(name, (span.start_s,), "forget") >= self.habits.forget_rate
        ]
        extra = [say(text, language) for text in read_shared_texts().fillers]
        return [
            sentences["event"],
            *details,
            *(extra if self.habits.is_verbose else [say(filler, language)]),
        ]

    def _answer(self, item: NaturalItem, shots: set[int], context: str) -> str | None:
        """The honest answer from these shots and the text around the question; None for not
        shown."""
        if self.habits.is_stubborn:
            return item.options[0] if item.options else "yes"
        if self.habits.is_blind:
            draw = self._draw(f"{item.id} {context}", sorted(shots), "guess")
            number = int(draw * max(1, len(item.options)))
            return item.options[number] if item.options else "something"
        if item.rule == "heard":
            return item.answer_text if item.fact in context else None
        seen_shots = shots | self._shots_told(item, context)
        # The gist takes a few different shots, and none in particular.
        if item.rule == "most":
            return item.answer_text if len(seen_shots) >= LEAST_SUMMARY_SHOTS else None
        if item.rule == "count":
            # Who misses a shot counts one too few, as models do.
            count = len(seen_shots.intersection(item.shots))
            return str(count) if count else None
        if item.rule in ("first", "last"):
            return _pick_in_order(item, seen_shots)
        proof_shots = seen_shots.intersection(item.shots)
        enough = proof_shots == set(item.shots) if item.rule == "all" else bool(proof_shots)
        return item.answer_text if enough and item.rule != "never" else None

    def _pick_proof(self, item: NaturalItem, times_s: Sequence[float]) -> list[float]:
        """A frame of each shot that the answer rests on, four at most: of a whole, the first; of a
        last visit, the last."""
        frames: dict[int, float] = {}
        for time_s in times_s:
            (shot,) = self._shots_at((time_s,))
            if item.rule == "most" or shot in item.shots:
                frames.setdefault(shot, time_s)
        proof = sorted(frames.values())
        return proof[-1:] if item.family == "visitor_last" else proof[:4]

    def _shots_told(self, item: NaturalItem, context: str) -> set[int]:
        """Shots whose event and fact stand in one line of the text, in any language."""
        shot_indices = range(len(self._starts_s)) if item.rule == "most" else item.shots
        # A shorter line holds no event: leaving it out saves most comparisons.
        lines = [line for line in context.splitlines() if len(line) > 8]
        return {
            index
            for index in shot_indices
            if index >= 0
            for sentences in self._sentences.values()
            for line in lines
            if sentences[index]["event"] in line
            and sentences[index].get(item.fact if item.rule != "most" else "event", "") in line
        }

    def _rank(self, item: NaturalItem, context: str) -> str:
        """The numbered entries that tell of a shot of the question, or hold what is asked of what
        is said; who sees nothing names the first."""
        if self.habits.is_blind or self.habits.is_stubborn:
            return "1: 4"
        event_texts = [
            sentences[index]["event"]
            for sentences in self._sentences.values()
            for index in item.shots
            if index >= 0
        ]
        clues = [item.fact] if item.rule == "heard" else event_texts
        entries = re.findall(r"(?m)^\[(\d+)\] (.*)$", context)
        lines = [
            f"{n}: 4 tells of it" for n, text in entries if any(clue in text for clue in clues)
        ]
        return "\n".join(lines) or "none"

    def _score(self, item: NaturalItem, shots: set[int]) -> int:
        """1 to 4: how well a stretch answers; 4 where it shows what the answer needs."""
        if self.habits.is_stubborn or self.habits.is_blind:
            return 4
        if item.rule in ("most", "heard", "never"):
            return 2
        return 4 if shots.intersection(item.shots) else 1

    def _fill_json(
        self,
        text: str,
        values: dict[str, object],
        spoken: str,
        times_s: Sequence[float],
        language: Language,
    ) -> str:
        """A JSON object with the keys that the prompt shows, as far as their names say what is
        wanted."""
        values_by_key: dict[str, object] = {
            "score": 1,
            "answer": spoken,
            "text": spoken,
            "choice": spoken[:1] if re.match(r"[A-Z]\. ", spoken) else spoken,
            "reason": self.caption(times_s[:1], language, 30),
            "caption": spoken,
            "events": spoken.splitlines(),
            **self._channels(times_s, language),
            **values,
        }
        form: dict[str, object] = {}
        for key, bracket in _JSON_KEY.findall(text) or [("text", "")]:
            value = values_by_key.get(key, "")
            # A list where the form has one, a text where it has none.
            is_list = isinstance(value, list)
            form[key] = value if is_list or not bracket else [value] * bool(value)
            if is_list and not bracket:
                form[key] = " ".join(map(str, value))
        return json.dumps(form, ensure_ascii=False)

    def _channels(self, times_s: Sequence[float], language: Language) -> dict[str, object]:
        """Who is seen and what is written in these shots."""
        genre, shots = self.script.genre, self._shots_at(times_s)
        people = [say(genre.people[self.script.shots[i].event.person], language) for i in shots]
        visits = [say(genre.visitor, language)] * any(
            self.script.shots[i].doing is not None for i in shots
        )
        signs = [sign for i in shots if (sign := self.script.shots[i].sign)]
        names = sorted({*people, *visits})
        return {"entities": names, "screen_text": signs}

    def _noticed(self, times_s: Sequence[float]) -> set[int]:
        """The shots that are shown, as far as attention goes."""
        shots = self._shots_at(times_s)
        if self.habits.attention_frames is None or not times_s:
            return shots
        attended = min(1.0, self.habits.attention_frames / len(times_s))
        noticed = set()
        for shot in shots:
            inside = [t for t in times_s if self._shots_at((t,)) == {shot}]
            # Each frame is overlooked by itself, so that long shots are noticed more surely.
            overlooked = (1 - attended) ** len(inside)
            if self._draw(f"{len(times_s)}", inside, "notice") >= overlooked:
                noticed.add(shot)
        return noticed

    def _shots_at(self, times_s: Iterable[float]) -> set[int]:
        # The shot that began last; a time before all of them belongs to the first.
        return {max(0, bisect_right(self._starts_s, time_s) - 1) for time_s in times_s}

    def _draw(self, text: str, numbers: Iterable[float], what: str) -> float:
        """Uniform in [0, 1), the same for the same arguments and video."""
        # Rounded: times that went through a file may differ in their last digits.
        key = repr((self.script.name, text, [round(n, 3) for n in numbers], what))
        return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def _is_shown(answer: str, item: NaturalItem) -> bool:
    absent = (*read_shared_texts().not_shown, "not shown")
    return item.is_answerable and answer not in absent


_KINDS = {
    "summary": "whole",
    "first": "order",
    "last": "order",
    "after": "order",
    "visitor_last": "order",
    "count": "count",
    "price": "speech",
    "weight": "speech",
    "origin": "speech",
    "sign": "text",
    "label": "text",
    "when": "when",
}
"""What a question takes, in one word, by family."""


def _pick_word(item: NaturalItem, words: Sequence[str], context: str) -> str:
    """The word for a request to choose one: the kind of the question, or whether two answers say
    the same."""
    answers = re.findall(r"(?m)^(?:First|Second) answer: (.*)$", context)
    if len(answers) == 2 and "same" in words:
        first, second = (says.casefold().strip(" .") for says in answers)
        # A short form of the other answer says the same.
        return "same" if first in second or second in first else "different"
    kind = _KINDS.get(item.family, "moment")
    return kind if kind in words else words[0]


def _pick_in_order(item: NaturalItem, seen: set[int]) -> str | None:
    """The option that comes first or last among those that are shown. One event has no order; the
    last visit is the last that one knows of."""
    shown_shots = [i for i in item.shots if i in seen]
    if len(shown_shots) < (1 if item.family == "visitor_last" else 2):
        return None
    shot = min(shown_shots) if item.rule == "first" else max(shown_shots)
    return item.options[item.shots.index(shot)] if item.options else item.answer_text


def _without_question(text: str, item: NaturalItem) -> str:
    """A prompt less the question and its lettered options: what is told beside them."""
    context = text.replace(item.question, "")
    for option in item.options:
        context = re.sub(rf"(?m)\b[A-H][.):]\s*{re.escape(option)}\s*$", "", context)
    return context


def _language_asked(text: str) -> Language:
    """The language that a prompt names; English without one."""
    for language in LANGUAGES:
        if re.search(rf"\bin {LANGUAGE_NAMES[language]}\b", text):
            return language
    return "en"


def _think(text: str) -> str:
    opening = " ".join(text.split()[:12])
    return (
        f"<think>The user asks: {opening} ... Let me go through the frames in order. I see a "
        "scene, then another one. Wait, is it B? Let me check once more before I answer. Maybe A. "
        "No, I should rely on what the frames show and on nothing else.</think>\n"
    )
