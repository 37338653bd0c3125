"""Makes the items about a script: one draft a family, rendered in each language.

A draft holds texts of all languages, so that the same item can be asked in each of them with the
same options in the same order. Wrong options are things that the same video shows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmreason.natural.items import NaturalItem, Rule
from mmreason.natural.records import Event, Shot, SpeechLine, VideoScript
from mmreason.natural.texts import LANGUAGES, Language, Text, read_shared_texts, say
from mmreason.natural.wording import say_event, say_speech
from mmreason.video.types import Span

OPTIONS = 4
OPEN_EVERY = 4
"""Every so manieth item that can be asked without options is."""
CLOSED = (
    "when",
    "after",
    "first",
    "last",
    "visitor_last",
    "comparison",
    "summary",
    "reason",
    "place",
)
"""Families whose answers only options make exact."""
ONE_SHOT_FAMILIES = ("sign", "colour", "place", "tally", "reason", "when")
"""About one detail of one shot."""
Slots = dict[str, Text]


@dataclass(frozen=True, kw_only=True)
class ItemDraft:
    """An item in all languages."""

    family: str
    """Which way of asking it takes, and the name it is counted under."""
    slots: Slots
    """What stands in the question."""
    right: Text | None
    """None where there is no answer."""
    wrong: Sequence[Text]
    rule: Rule
    shots: tuple[int, ...] = ()
    option_shots: dict[Text, int] = field(default_factory=dict)
    """For an order: the shot of each option."""
    fact: Text = ("", "", "", "")


def draw_items(script: VideoScript, languages: Sequence[Language]) -> tuple[NaturalItem, ...]:
    """The items about a video, those of one language after those of another.

    Example:
        >>> from mmreason.natural.scripts import draw_script
        >>> items = draw_items(draw_script("match", 0, 600.0), ("en", "es"))
        >>> items[0].language, items[-1].language, len(items) == 2 * len({i.pair for i in items})
        ('en', 'es', True)
    """
    rng = random.Random(f"{script.name}/items")
    drafts = _draw_drafts(rng, script)
    ways = read_shared_texts().questions
    rendered: list[tuple[ItemDraft, Text, tuple[Text, ...]]] = []
    closed_count = 0
    for draft in drafts:
        # Drawn once for all languages, which ask the same question with the same options.
        way = rng.choice(ways[draft.family])
        options = _draw_options(rng, draft)
        if draft.family not in CLOSED:
            # Counted over these families alone: every fourth is open, whatever stands between.
            closed_count += 1
            options = () if closed_count % OPEN_EVERY == 0 else options
        rendered.append((draft, way, options))
    return tuple(
        _render(script, index, draft, way, options, language)
        for language in languages
        for index, (draft, way, options) in enumerate(rendered)
    )


def _draw_options(rng: random.Random, draft: ItemDraft) -> tuple[Text, ...]:
    # No set: its order differs from process to process, and the draw with it.
    wrong = list(dict.fromkeys(text for text in draft.wrong if text != draft.right))
    # A wrong option more where none is right: their number may not give that away.
    count = OPTIONS if draft.right is None else OPTIONS - 1
    chosen = rng.sample(wrong, min(count, len(wrong)))
    options = chosen if draft.right is None else [draft.right, *chosen]
    # What has no rival in its video is asked openly.
    if len(options) < 2:
        return ()
    return tuple(rng.sample(options, len(options)))


def _render(
    script: VideoScript,
    index: int,
    draft: ItemDraft,
    way: Text,
    options: tuple[Text, ...],
    language: Language,
) -> NaturalItem:
    slots = {name: say(text, language) for name, text in draft.slots.items()}
    pair = f"{script.name}-{index:02d}"
    shots = draft.shots
    if draft.option_shots:
        shots = tuple(draft.option_shots.get(option, -1) for option in options)
    is_ordered = draft.rule in ("first", "last")
    # Of an order only the shot of the right event proves the answer.
    gold = [draft.option_shots[draft.right]] if is_ordered and draft.right else draft.shots
    spans = tuple(script.shots[i].span for i in gold)
    if draft.rule == "most":
        spans = (Span(0.0, script.duration_s),)
    elif draft.rule == "heard":
        # A line of speech is its own proof: it is found by its words in this language.
        text = say(draft.fact, language)
        spans = tuple(
            line.span for line in script.speech if say_speech(script.genre, line, language) == text
        )
    return NaturalItem(
        id=f"{pair}-{language}",
        pair=pair,
        video=script.name,
        genre=script.genre.name,
        language=language,
        duration_s=script.duration_s,
        seed=script.seed,
        family="unanswerable" if draft.right is None else draft.family,
        question=say(way, language).format(**slots),
        options=tuple(say(option, language) for option in options),
        answer=options.index(draft.right) if options and draft.right else None,
        answer_text="" if draft.right is None else say(draft.right, language),
        gold_spans=() if draft.right is None else spans,
        rule=draft.rule,
        shots=shots,
        fact=say(draft.fact, language),
    )


def _draw_drafts(rng: random.Random, script: VideoScript) -> list[ItemDraft]:
    """A draft of each family, about as many different shots as there are."""
    # The first shot also tells the theme: it is left to the summary.
    shots = list(range(1, len(script.shots)))
    rng.shuffle(shots)
    signed = [i for i in shots if script.shots[i].sign is not None]
    visits = sorted(i for i in shots if script.shots[i].doing is not None)
    drafts = [_ask_who(script)]
    for family in ONE_SHOT_FAMILIES:
        # A short video may show no sign at all.
        shots_left = signed if family == "sign" else shots
        if shots_left:
            drafts.append(_ask_of_shot(script, family, shots_left.pop()))
    drafts += [
        _ask_after(rng, script, shots.pop()),
        _ask_order(rng, script, "first"),
        _ask_order(rng, script, "last"),
        _ask_count(script, visits),
        _ask_visitor(script, rng.choice(visits)),
        _ask_visitor_last(script, visits),
        _ask_comparison(rng, script),
        _ask_summary(script),
        _ask_label(rng, script),
    ]
    fact_lines = [line for line in script.speech if line.kind != "chatter"]
    drafts += [_ask_speech(script, line) for line in fact_lines[:2]]
    return drafts + _ask_unanswerable(rng, script)


def _event(script: VideoScript, event: Event, *, subordinate: bool = False) -> Text:
    return tuple(
        say_event(script.genre, event, language, subordinate=subordinate) for language in LANGUAGES
    )


def _scene_slots(script: VideoScript, event: Event) -> Slots:
    """What questions about one scene may name."""
    genre = script.genre
    return {
        "event": _event(script, event),
        "subordinate": _event(script, event, subordinate=True),
        "garment": genre.garment,
        "visitor": genre.visitor,
    }


def _same(text: str) -> Text:
    """A text that no language changes."""
    return (text,) * len(LANGUAGES)


def _ask_who(script: VideoScript) -> ItemDraft:
    """About a verb and an object that one person has."""
    pairs = [(s.event.verb, s.event.object) for s in script.shots]
    index = next(i for i, pair in enumerate(pairs) if pairs.count(pair) == 1)
    event, genre = script.shots[index].event, script.genre
    return ItemDraft(
        family="who",
        slots={"verb": genre.verbs[event.verb], "object": genre.objects[event.object]},
        right=genre.people[event.person],
        wrong=genre.people,
        rule="any",
        shots=(index,),
        fact=_same("event"),
    )


def _ask_of_shot(script: VideoScript, family: str, index: int) -> ItemDraft:
    """About one detail of one shot; wrong options are that detail of others."""
    shot = script.shots[index]
    slots = _scene_slots(script, shot.event) | {"things": script.genre.things[shot.thing]}
    right = _detail(script, family, shot)
    assert right is not None
    details = [_detail(script, family, other) for other in script.shots]
    return ItemDraft(
        family=family,
        slots=slots,
        right=right,
        wrong=[text for text in details if text is not None],
        rule="any",
        shots=(index,),
        fact=_same("event" if family == "when" else family),
    )


def _detail(script: VideoScript, family: str, shot: Shot) -> Text | None:
    shared, genre = read_shared_texts(), script.genre
    details: dict[str, Text | None] = {
        "colour": shared.colours[shot.colour],
        "place": genre.places[shot.place],
        "tally": _same(str(shot.tally)),
        "reason": shared.reasons[shot.reason],
        "sign": None if shot.sign is None else _same(shot.sign),
        "when": _same(clock_time(shot.span.middle_s)),
    }
    return details[family]


def clock_time(time_s: float) -> str:
    """Minutes and seconds.

    Example:
        >>> clock_time(3725.0)
        '62:05'
    """
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"


def _ask_after(rng: random.Random, script: VideoScript, index: int) -> ItemDraft:
    # Nothing comes after the last shot.
    index = min(index, len(script.shots) - 2)
    event, following = script.shots[index].event, script.shots[index + 1].event
    wrong = [s.event for s in script.shots if s.event not in (event, following)]
    return ItemDraft(
        family="after",
        slots=_scene_slots(script, event),
        right=_event(script, following),
        wrong=[_event(script, other) for other in rng.sample(wrong, OPTIONS)],
        rule="all",
        shots=(index, index + 1),
        fact=_same("event"),
    )


def _ask_order(rng: random.Random, script: VideoScript, family: Rule) -> ItemDraft:
    """Which of four events comes first or last."""
    chosen = rng.sample(range(1, len(script.shots)), OPTIONS)
    events = {_event(script, script.shots[i].event): i for i in chosen}
    right = (min if family == "first" else max)(events, key=lambda text: events[text])
    listed = tuple("; ".join(f'"{text[i]}"' for text in events) for i in range(len(LANGUAGES)))
    return ItemDraft(
        family=family,
        slots={"listed": listed},
        right=right,
        wrong=list(events),
        rule=family,
        shots=tuple(sorted(chosen)),
        option_shots=events,
        fact=_same("event"),
    )


def _ask_count(script: VideoScript, visits: Sequence[int]) -> ItemDraft:
    return ItemDraft(
        family="count",
        slots={"visitor": script.genre.visitor},
        right=_same(str(len(visits))),
        wrong=[_same(str(n)) for n in range(1, 6)],
        rule="count",
        shots=tuple(visits),
        fact=_same("visitor"),
    )


def _doing(script: VideoScript, index: int) -> Text:
    doing = script.shots[index].doing
    assert doing is not None
    return script.genre.doings[doing]


def _ask_visitor(script: VideoScript, index: int) -> ItemDraft:
    return ItemDraft(
        family="visitor",
        slots=_scene_slots(script, script.shots[index].event),
        right=_doing(script, index),
        wrong=script.genre.doings,
        rule="any",
        shots=(index,),
        fact=_same("visitor"),
    )


def _ask_visitor_last(script: VideoScript, visits: Sequence[int]) -> ItemDraft:
    return ItemDraft(
        family="visitor_last",
        slots={"visitor": script.genre.visitor},
        right=_doing(script, visits[-1]),
        wrong=script.genre.doings,
        rule="last",
        shots=tuple(visits),
        option_shots={_doing(script, i): i for i in visits},
        fact=_same("visitor"),
    )


def _ask_comparison(rng: random.Random, script: VideoScript) -> ItemDraft:
    """Which of two shots shows more of the same thing."""
    shots = script.shots
    pairs = [
        (a, b)
        for a in range(1, len(shots))
        for b in range(a + 1, len(shots))
        if shots[a].thing == shots[b].thing and shots[a].tally != shots[b].tally
    ]
    chosen = rng.choice(pairs)
    first, second = (_event(script, shots[i].event) for i in chosen)
    other = _event(script, shots[chosen[1]].event, subordinate=True)
    slots = _scene_slots(script, shots[chosen[0]].event)
    is_first = shots[chosen[0]].tally > shots[chosen[1]].tally
    return ItemDraft(
        family="comparison",
        slots=slots | {"other": other, "things": script.genre.things[shots[chosen[0]].thing]},
        right=first if is_first else second,
        wrong=[second if is_first else first, read_shared_texts().same_number],
        rule="all",
        shots=chosen,
        fact=_same("tally"),
    )


def _ask_summary(script: VideoScript) -> ItemDraft:
    return ItemDraft(
        family="summary",
        slots={},
        right=script.genre.themes[script.theme],
        wrong=script.genre.themes,
        rule="most",
        shots=(0,),
        fact=_same("theme"),
    )


def _ask_label(rng: random.Random, script: VideoScript) -> ItemDraft:
    labelled = [i for i, shot in enumerate(script.shots) if shot.label is not None]
    index = rng.choice(labelled)
    labels = [shot.label for shot in script.shots if shot.label is not None]
    topic, number = next(label for label in labels if label == script.shots[index].label)
    # One digit off: a number that nearly is right tests whether it was read.
    near = str(number)[:-1] + str((number + 3) % 10)
    return ItemDraft(
        family="label",
        slots={"topic": script.genre.topics[topic]},
        right=_same(str(number)),
        wrong=[_same(near), *(_same(str(other)) for _, other in labels)],
        rule="any",
        shots=(index,),
        fact=_same("label"),
    )


def _ask_speech(script: VideoScript, line: SpeechLine) -> ItemDraft:
    cities = read_shared_texts().cities
    right = cities[line.number] if line.kind == "origin" else _same(str(line.number))
    near = [_same(str(line.number + step)) for step in (-7, 5, 10, 30)]
    return ItemDraft(
        family=line.kind,
        slots={"topic": script.genre.topics[line.topic]},
        right=right,
        wrong=cities if line.kind == "origin" else near,
        rule="heard",
        fact=tuple(say_speech(script.genre, line, language) for language in LANGUAGES),
    )


def _ask_unanswerable(rng: random.Random, script: VideoScript) -> list[ItemDraft]:
    """Half-truths: events whose parts all occur, and a fact that nobody tells."""
    shared, genre = read_shared_texts(), script.genre
    families = rng.sample(("colour", "place", "tally", "reason"), 2)
    wrong: dict[str, Sequence[Text]] = {
        "colour": shared.colours,
        "place": genre.places,
        "tally": [_same(str(n)) for n in range(2, 10)],
        "reason": shared.reasons,
    }
    drafts = [
        ItemDraft(
            family=family,
            slots=_scene_slots(script, event) | {"things": genre.things[rng.randrange(4)]},
            right=None,
            wrong=wrong[family],
            rule="never",
        )
        for family, event in zip(families, script.unused, strict=False)
    ]
    told_facts = {(line.kind, line.topic) for line in script.speech}
    silent = [t for t in range(len(genre.topics)) if ("price", t) not in told_facts]
    if silent:
        drafts.append(
            ItemDraft(
                family="price",
                slots={"topic": genre.topics[rng.choice(silent)]},
                right=None,
                wrong=[_same(str(n)) for n in rng.sample(range(20, 980), OPTIONS)],
                rule="never",
            )
        )
    return drafts
