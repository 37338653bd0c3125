"""A model by script that decides where to look, for tool loops: it plays by what the tools answer.

It knows the words of the questions and what they mean in English, as a strong model does, and
nothing of what a video shows. It reads the overview, searches for the words of the question, looks
at the stretches whose lines share most of them, then at even ones, and answers with the id of the
look that shows it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mmreason.language.prompts import GENERAL, LETTERS
from mmreason.models.base import (
    ClipRecipe,
    Conversation,
    FramesPart,
    GenerateRequest,
    Reply,
    TextPart,
    Tier,
    WrittenCall,
)
from mmreason.models.written_calls import write_calls
from mmreason.natural.items import NaturalItem
from mmreason.natural.texts import Genre, Language, Text, read_shared_texts, say
from mmreason.natural.tokens import count_tokens
from mmreason.types import UsageError
from mmreason.video.types import Span

REASONERS = ("strong",)
MOST_LOOKS = 4
SPANS_A_LOOK = 4
LOOK_S = 60.0
"""Longest stretch of one look where words lead; even looks take what there is."""
_CLOCK = r"(?:(?:\d+:)?\d+:)?\d+(?:\.\d+)?"
_TIMED = re.compile(rf"(?P<start>{_CLOCK})\s?-\s?(?P<end>{_CLOCK})(?: s)?:? (?P<text>.*)")
_RUNS = re.compile(r"runs from ([\d.]+) to ([\d.]+) s")
_LOOK_RESULT = re.compile(r"id: (?P<id>\S+)\s+frames at [\d., ]+ s: (?P<text>.*)", re.DOTALL)
_TRANSCRIPT_ID = re.compile(r"id: (transcript\S*)")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "the a an of in on at is are it that when which what who where how many much can be seen "
        "one does do did by with for to and or video scene there this comes happens first last "
        "while",
    )
)
"""Words of English questions that say nothing about what is asked for."""
_CLIP = ClipRecipe(frames=16, size_px=(32, 18), leaf_s=30.0, prompts=GENERAL)


def make_reasoner(name: str, genre: Genre, items: Sequence[NaturalItem]) -> StrongReasoner:
    """The reasoner of this name. Raises UsageError for a name that is none."""
    if name not in REASONERS:
        raise UsageError(f"{name!r} is no reasoner; there is {', '.join(REASONERS)}")
    return StrongReasoner(genre=genre, items=tuple(items))


@dataclass
class StrongReasoner:
    """A `ChatModel` that calls tools, natively or in text. See the module."""

    genre: Genre
    items: tuple[NaturalItem, ...]
    name: str = "strong reasoner"
    clip: ClipRecipe = _CLIP
    lineage: str = "script"
    calibrated: bool = False
    notes: tuple[str, ...] = ()
    tier: Tier = "strong"
    takes_tools: bool = True

    @property
    def fingerprint(self) -> str:
        """Hash of the name."""
        return hashlib.sha256(self.name.encode()).hexdigest()

    def generate(self, request: GenerateRequest) -> list[Reply]:
        """See `ChatModel`."""
        request.refuse_constraint(self.name)
        names = {str(tool["function"]["name"]) for tool in request.tools}
        return [self._reply(conversation, names) for conversation in request.conversations]

    def _reply(self, conversation: Conversation, tool_names: set[str]) -> Reply:
        text = _text_of(conversation)
        item = next((item for item in self.items if item.question in text), None)
        calls: tuple[WrittenCall, ...] = ()
        if item is None:
            written = "I need a question."
        elif one_word := re.search(r"with one word: ([^.\n]+)", text):
            # It tells nothing of the kind: what the first word stands for is the usual case.
            written = re.findall(r"\w+", one_word[1])[0]
        else:
            turn = Turn.read(conversation, item, self.genre)
            calls = turn.next_calls(only_answer=tool_names == {"answer"})
            written = "" if tool_names else write_calls(calls)
        out = count_tokens(written) + sum(count_tokens(call.arguments) for call in calls)
        return Reply(
            text=written,
            token_ids=(),
            logprobs=(),
            tokens_in=count_tokens(text),
            tokens_out=out,
            calls=calls if tool_names else (),
        )


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What a conversation has told so far.

    Example: `Turn.read(conversation, item, genre).next_calls()` are the calls to make.
    """

    item: NaturalItem
    genre: Genre
    transcript_id: str | None
    """Where the transcript was read."""
    words: frozenset[str]
    """Content words of the question, and their English."""
    video: Span
    lines: tuple[tuple[Span, str], ...]
    """Lines with times: of the outline, of searches, of what is said."""
    looked: tuple[Span, ...]
    results: tuple[tuple[str, str], ...]
    """(id, what a look said), in order."""
    refuted: int
    searched: bool
    number: int
    """Of this turn, for ids of calls."""

    @classmethod
    def read(cls, conversation: Conversation, item: NaturalItem, genre: Genre) -> Turn:
        """Read a conversation."""
        text = _text_of(conversation)
        runs = _RUNS.search(text)
        video = Span(float(runs[1]), float(runs[2])) if runs else Span(0.0, item.duration_s)
        earlier_calls = [call for message in conversation for call in message.calls]
        # Without native tools the calls stand in what the model wrote.
        if not earlier_calls:
            earlier_calls = _calls_in_text(conversation)
        looked = [
            Span(*map(float, pair))
            for call in earlier_calls
            if call.name == "look"
            for pair in json.loads(call.arguments)["spans"]
        ]
        texts = [
            _text_of([message])
            for message in conversation
            if message.role == "tool" or message.role == "user"
        ]
        results = [
            (match["id"], match["text"].strip())
            for text_told in texts
            for match in _LOOK_RESULT.finditer(text_told)
        ]
        return cls(
            item=item,
            genre=genre,
            transcript_id=next((i[1] for t in texts if (i := _TRANSCRIPT_ID.search(t))), None),
            words=translate_words(item, genre),
            video=video,
            lines=tuple(_timed_lines(texts)),
            looked=tuple(looked),
            results=tuple(results),
            refuted=sum("The answer was checked" in text_told for text_told in texts),
            searched=any(call.name == "search" for call in earlier_calls),
            number=sum(message.role == "assistant" for message in conversation) + 1,
        )

    def next_calls(self, *, only_answer: bool = False) -> tuple[WrittenCall, ...]:
        """The calls of this turn."""
        # 1. An answer where a look gave one, after as many as were refuted.
        sightings = [(i, says) for i, says in self.results if not _is_absent(says)]
        if self.refuted < len(sightings):
            # The newest: those before it were claimed already, and refuted.
            evidence_id, says = sightings[-1]
            return (self._answer(says, evidence_id),)
        if only_answer or len(self.looked) >= MOST_LOOKS * SPANS_A_LOOK:
            if sightings:
                return (self._answer(sightings[-1][1], sightings[-1][0]),)
            return (self._call("answer", {"text": "not shown"}),)
        # 2. What is known, before frames.
        if not self.searched:
            query = " ".join(sorted(self.words)) or self.item.question
            return (
                self._call("search", {"query": query[:200]}),
                self._call("overview", {}, 1),
                self._call("transcript", {}, 2),
            )
        # 3. What is said may answer it already.
        if (answer_call := self._find_said()) is not None:
            return (answer_call,)
        # 4. A look with the whole question.
        spans = [[round(s.start_s, 2), round(s.end_s, 2)] for s in self._choose_spans()]
        return (self._call("look", {"spans": spans, "question": self.item.question}),)

    def _find_said(self) -> WrittenCall | None:
        """The answer in a line of speech, with the id of the transcript; None where none tells."""
        speech_fact = find_speech_asked(self.item, self.genre)
        if speech_fact is None or self.transcript_id is None or self.refuted:
            return None
        kind, topic = speech_fact
        form = say(read_shared_texts().speech[kind], self.item.language)
        # The sentence with its topic filled in; what it states stands in the gap that is left.
        pattern = re.escape(form).replace(re.escape("{topic}"), re.escape(topic))
        # `re.escape` has put a backslash before each brace.
        pattern = re.sub(r"\\\{(?:number|city)\\\}", r"(.+?)", pattern)
        for _, text in self.lines:
            if match := re.search(pattern, text):
                value = match[1]
                if value in self.item.options:
                    value = LETTERS[self.item.options.index(value)]
                return self._answer(value, self.transcript_id)
        return None

    def _choose_spans(self) -> list[Span]:
        """Stretches that no look has seen: those whose lines share most words with the question,
        else even ones over the whole."""
        scored = sorted(
            ((len(self.words & _content_words(text)), span) for span, text in self.lines),
            key=lambda pair: (-pair[0], pair[1].start_s),
        )
        best = scored[0][0] if scored else 0
        chosen: list[Span] = []
        for score, span in scored:
            wide = _at_most(span, LOOK_S).clip(self.video)
            # Another look may show up to half of it again; stretches of one look may not overlap.
            is_new = all(wide.overlap_s(other) < 0.5 * wide.duration_s for other in self.looked)
            is_apart = all(wide.overlap_s(other) == 0 for other in chosen)
            # One word in common is chance, and lines far below the best only thin out the frames.
            if score >= max(2, best - 2) and is_new and is_apart and wide.duration_s > 0:
                chosen.append(wide)
            if len(chosen) == SPANS_A_LOOK:
                break
        if chosen:
            return sorted(chosen)
        # Quarters of the video, shifted from turn to turn so that other frames are shown.
        step_s = self.video.duration_s / SPANS_A_LOOK
        shift_s = step_s * 0.05 * self.number
        starts_s = [self.video.start_s + i * step_s + shift_s for i in range(SPANS_A_LOOK)]
        return [Span(s, min(self.video.end_s, s + 0.9 * step_s - shift_s)) for s in starts_s]

    def _answer(self, says: str, evidence_id: str) -> WrittenCall:
        # A look at the user's own question had the options: its reply begins with a letter.
        letter = re.match(r"\W*([A-H])\b", says)
        if self.item.options and letter and LETTERS.index(letter[1]) < len(self.item.options):
            return self._call("answer", {"choice": letter[1], "evidence_ids": [evidence_id]})
        text = re.split(r"\n|\bseen at:", says)[0].strip()
        return self._call("answer", {"text": text, "evidence_ids": [evidence_id]})

    def _call(self, name: str, arguments: dict[str, object], place: int = 0) -> WrittenCall:
        text = json.dumps(arguments, ensure_ascii=False)
        return WrittenCall(id=f"call-{self.number}-{place}", name=name, arguments=text)


def translate_words(item: NaturalItem, genre: Genre) -> frozenset[str]:
    """Content words of a question and its options, with those of their English.

    Example:
        >>> from mmreason.natural.questions import draw_items
        >>> from mmreason.natural.scripts import draw_script
        >>> script = draw_script("vlog", 0, 600.0)
        >>> item = next(i for i in draw_items(script, ("de",)) if i.family == "count")
        >>> "goat" in translate_words(item, script.genre)
        True
    """
    content_words = _content_words(item.question)
    for text in _known_texts(genre):
        if say(text, item.language) in item.question:
            content_words |= _content_words(say(text, "en"))
    return frozenset(content_words)


def find_speech_asked(item: NaturalItem, genre: Genre) -> tuple[str, str] | None:
    """(kind of fact, topic) where a question is about what is said: known by its words alone."""
    shared = read_shared_texts()
    for kind in shared.speech:
        for way in shared.questions[kind]:
            for topic in genre.topics:
                topic_text = say(topic, item.language)
                if say(way, item.language).format(topic=topic_text) == item.question:
                    return kind, topic_text
    return None


def _known_texts(genre: Genre) -> list[Text]:
    shared = read_shared_texts()
    lists = (genre.themes, genre.people, genre.verbs, genre.objects, genre.places, genre.things)
    more = (genre.doings, genre.topics, shared.colours, shared.cities)
    texts = [text for texts in (*lists, *more) for text in texts]
    return [*texts, genre.garment, genre.visitor]


def _content_words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if word not in _COMMON}


def _text_of(conversation: Conversation) -> str:
    parts = [part for message in conversation for part in message.parts]
    assert not any(isinstance(part, FramesPart) for part in parts), "decides by words alone"
    return "\n".join(part.text for part in parts if isinstance(part, TextPart))


def _calls_in_text(conversation: Conversation) -> list[WrittenCall]:
    from mmreason.models.written_calls import read_written_calls

    names = ("search", "overview", "look", "answer")
    turns = [message for message in conversation if message.role == "assistant"]
    return [call for turn in turns for call in read_written_calls(_text_of([turn]), names)[0]]


def _timed_lines(texts: Iterable[str]) -> Iterable[tuple[Span, str]]:
    for text in texts:
        for line in text.splitlines():
            match = _TIMED.search(line)
            if match is None:
                continue
            start_s, end_s = _seconds(match["start"]), _seconds(match["end"])
            if end_s > start_s:
                yield Span(start_s, end_s), match["text"]


def _seconds(clock: str) -> float:
    seconds = 0.0
    for field in clock.split(":"):
        seconds = 60 * seconds + float(field)
    return seconds


def _at_most(span: Span, length_s: float) -> Span:
    if span.duration_s <= length_s:
        return span
    return Span(span.middle_s - length_s / 2, span.middle_s + length_s / 2)


def _is_absent(says: str) -> bool:
    languages: tuple[Language, ...] = ("en", "de", "zh", "es")
    phrases = [say(read_shared_texts().not_shown, language) for language in languages]
    return not says or any(phrase in says.casefold() for phrase in phrases)
