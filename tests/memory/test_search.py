"""What is looked for is found in any language, and what is nowhere is said to be nowhere."""

from __future__ import annotations

import random

import numpy as np
import pytest

from mmreason.memory.number_words import write_numbers_alike
from mmreason.memory.ranking import fuse_rankings
from mmreason.memory.records import MemoryQuery, MemoryRecord
from mmreason.memory.text_index import TextIndex, TextMatch
from mmreason.memory.vector_index import (
    USUAL_FLOORS,
    Embedder,
    VectorIndex,
    make_nonsense,
    measure_embedder_floor,
)
from mmreason.memory.video_memory import VideoMemory
from mmreason.natural.questions import draw_items
from mmreason.natural.scripts import draw_script
from mmreason.natural.texts import Language
from mmreason.natural.wording import say_shot
from mmreason.types import UsageError
from mmreason.video.types import Span

ENGLISH = [
    "A chef in a white apron chops two onions on a wooden board.",
    "He slides the onions into a hot pan and adds a spoon of butter.",
    "Two children play beside a red car in front of the house.",
    "A woman pours milk into a bowl and whisks it with eggs.",
    "The goalkeeper in yellow saves a penalty, and the crowd cheers.",
    "A train leaves the platform while a man waves his hat.",
    "The lecturer writes an equation about entropy on the blackboard.",
    "A dog runs along the beach and catches a blue ball.",
    "The presenter points to a weather map with heavy rain over the coast.",
    "A worker tightens four bolts on a gearbox with a wrench.",
]
GERMAN = [
    "Der Koch hackt zwei Zwiebeln auf einem Holzbrett.",
    "Zwei Kinder spielen neben einem roten Auto vor dem Haus.",
    "Der Torwart hält einen Elfmeter, und die Menge jubelt.",
    "Die Dozentin erklärt das Gesetz der Thermodynamik an der Tafel.",
    "Vor den Häusern parken Lastwagen der Feuerwehr.",
]
SPANISH = [
    "La cocinera añade sal al agua hirviendo.",
    "Dos niños juegan junto a un coche rojo.",
    "El portero detiene un penalti y el público celebra.",
    "El profesor escribe una ecuación en la pizarra.",
]
CHINESE = [
    "厨师把两个洋葱切成小块。",
    "两个孩子在红色汽车旁边玩耍。",
    "守门员扑出了点球\uff0c观众欢呼。",
    "今年的预算是两百万元。",
    "一只狗在海滩上追球。",
]


def make_memory(texts: list[str], **settings) -> VideoMemory:
    memory = VideoMemory(**settings)
    memory.add(
        MemoryRecord("event", Span(30.0 * i, 30.0 * i + 30), text, "frames", "m")
        for i, text in enumerate(texts)
    )
    return memory


def find(memory: VideoMemory, text: str) -> list[str]:
    return [hit.record.text for hit in memory.search(MemoryQuery(text)).hits]


@pytest.mark.parametrize(
    ("texts", "query", "row"),
    [
        (ENGLISH, "child", 2),
        (ENGLISH, "What does the goalkeeper save?", 4),
        (ENGLISH, "cars", 2),
        (ENGLISH, "running dogs", 7),
        (GERMAN, "Wo ist die Zwiebel?", 0),
        (GERMAN, "haus", 1),
        (GERMAN, "Was erklärt die Dozentin?", 3),
        (GERMAN, "FEUERWEHR", 4),
        (SPANISH, "¿Qué añade la cocinera al agua?", 0),
        (SPANISH, "ecuacion", 3),
        (CHINESE, "预算", 3),
        (CHINESE, "预算是多少\uff1f", 3),
        (CHINESE, "狗", 4),
        (CHINESE, "守门员", 2),
    ],
)
def test_a_question_finds_its_line_first(texts: list[str], query: str, row: int) -> None:
    assert find(make_memory(texts), query)[0] == texts[row]


@pytest.mark.parametrize(
    ("stored", "query"),
    [
        ("예산은 이백만 원입니다.", "예산"),
        ("ผู้ชายกำลังขับรถสีแดง", "รถ"),
        ("एक लाल गाड़ी सड़क पर खड़ी है।", "गाड़ी"),
        ("予算は二百万円です。", "予算"),
        ("Мужчина открывает дверь ключом.", "ключ"),
        ("رجل يفتح الباب", "الباب"),
        ("σεφ κόβει κρεμμύδια", "κρεμμυδια"),
    ],
)
def test_other_scripts_are_searched_by_their_words(stored: str, query: str) -> None:
    assert find(make_memory([*ENGLISH, stored]), query) == [stored]


@pytest.mark.parametrize(
    "query",
    [
        "parachute",
        "xyzzy plugh",
        "Fallschirm",
        "降落伞",
        "paracaídas",
        "the of and in",
        "...",
        "🎈",
    ],
)
def test_what_is_nowhere_is_not_found_and_told(query: str) -> None:
    result = make_memory([*ENGLISH, *GERMAN, *SPANISH, *CHINESE]).search(MemoryQuery(query))
    assert result.hits == () and result.note.startswith("nothing found")


@pytest.mark.parametrize("query", ["man", "the man is", "ein der man"])
def test_words_of_most_records_find_nothing_and_are_named(query: str) -> None:
    memory = make_memory([f"The man looks at number {i}." for i in range(30)])
    result = memory.search(MemoryQuery(query))
    assert result.hits == () and "too many records hold man" in result.note
    assert find(memory, "the man at number 17")[0].endswith("17.")


@pytest.mark.parametrize("language", ["en", "de", "zh", "es"])
@pytest.mark.parametrize("genre", ["cooking", "lecture"])
def test_questions_find_the_shots_that_answer_them(genre: str, language: Language) -> None:
    script = draw_script(genre, 1, 1_800.0)
    memory = VideoMemory()
    memory.add(
        MemoryRecord("event", s.span, " ".join(say_shot(script.genre, s, language).values()), "f")
        for s in script.shots
    )
    items = [i for i in draw_items(script, [language]) if i.rule == "any" and i.is_answerable]
    found = [
        any(
            hit.record.span.overlap_s(gold) > 0
            for hit in memory.search(MemoryQuery(item.question)).hits
            for gold in item.gold_spans
        )
        for item in items
    ]
    assert len(found) > 8 and sum(found) >= 0.95 * len(found)


def test_most_words_of_a_query_that_are_nowhere_are_not_made_up_for_by_one() -> None:
    memory = make_memory(ENGLISH)
    assert find(memory, "Does a red helicopter land on the roof of the hospital?") == []
    assert find(memory, "red car") == [ENGLISH[2]]


def test_hits_are_of_the_channels_and_times_asked_for() -> None:
    memory = make_memory(ENGLISH)
    memory.add(
        [
            MemoryRecord("speech", Span(10, 12), "Now the onions.", "a.srt"),
            MemoryRecord("still", Span(45, 45), "onions in a pan", "frames"),
        ]
    )
    by_channel = memory.search(MemoryQuery("onions", channels=("speech",))).hits
    assert [hit.record.text for hit in by_channel] == ["Now the onions."]
    hits = memory.search(MemoryQuery("onions", span=Span(40, 50))).hits
    assert {hit.record.text for hit in hits} == {ENGLISH[1], "onions in a pan"}
    nothing = memory.search(MemoryQuery("onions", channels=("entity",)))
    assert nothing.hits == () and "no such record" in nothing.note
    assert memory.count_channels() == {"event": 10, "speech": 1, "still": 1}


def test_similarity_falls_and_scores_order() -> None:
    hits = make_memory(ENGLISH).search(MemoryQuery("onions pan butter")).hits
    assert [hit.record.text for hit in hits] == [ENGLISH[1], ENGLISH[0]]
    assert hits[0].similarity == pytest.approx(1.0) and 0.25 <= hits[1].similarity < 0.5
    assert hits[0].score > hits[1].score


def test_scenes_are_shown_and_not_searched() -> None:
    memory = make_memory(ENGLISH)
    memory.add(
        [
            MemoryRecord("event", Span(0, 300), "A day of parachutes.", "frames", "m", level=2),
            MemoryRecord("event", Span(0, 60), "Cooking parachutes.", "frames", "m", level=1),
            MemoryRecord("event", Span(60, 300), "The rest.", "frames", "m", level=1),
        ]
    )
    assert find(memory, "parachutes") == []
    assert [r.text for r in memory.overview()] == [
        "A day of parachutes.",
        "Cooking parachutes.",
        "The rest.",
    ]
    assert [r.text for r in memory.overview(Span(0, 30))] == [
        "A day of parachutes.",
        "Cooking parachutes.",
    ]


MEANINGS = {
    "onion": 0, "onions": 0, "vegetable": 0, "zwiebeln": 0, "chops": 1, "cuts": 1, "child": 2,
    "children": 2, "kids": 2, "vehicle": 3, "car": 3, "train": 3, "goalkeeper": 4, "keeper": 4,
}  # fmt: skip


def embed_meanings(texts) -> np.ndarray:
    """A made-up embedder: words of one meaning point one way; every other word a little, its own
    way."""
    vectors = np.zeros((len(texts), 300))
    for row, text in enumerate(texts):
        for word in text.lower().replace(".", " ").split():
            if word in MEANINGS:
                vectors[row, MEANINGS[word]] += 1
            else:
                vectors[row, 10 + sum(map(ord, word)) % 290] += 0.3
        vectors[row, 9] += 0.1
    return vectors


def test_meaning_finds_what_words_do_not_and_keeps_a_floor() -> None:
    memory = make_memory(ENGLISH, embedder=Embedder("meanings", embed_meanings))
    assert find(make_memory(ENGLISH), "kids vehicle") == []
    assert find(memory, "kids vehicle")[0] == ENGLISH[2]
    for nonsense in ["quux blarg", "zebedee frob", *make_nonsense(40)[32:]]:
        assert find(memory, nonsense) == [], nonsense


def test_both_lists_are_joined_by_rank_and_each_has_a_floor() -> None:
    matches = (TextMatch(0, 9.0, 0.9), TextMatch(1, 5.0, 0.1))
    cosines = np.array([0.2, 0.8, 0.7, -np.inf])
    ranked = fuse_rankings(matches, cosines, floor=0.5)
    assert [r.row for r in ranked] == [1, 0, 2], "second and first beat first and third"
    assert [round(r.similarity, 2) for r in ranked] == [0.8, 0.9, 0.7]
    assert fuse_rankings((TextMatch(0, 9.0, 0.1),), np.array([0.4]), floor=0.5) == ()


def test_common_words_beside_rare_ones_do_not_hide_them() -> None:
    draw = random.Random(3)
    index = TextIndex()
    texts = [f"a man walks by {draw.choice(['day', 'night'])} in place {i}" for i in range(2_000)]
    texts[1234] += " with an umbrella"
    index.add_texts(enumerate(texts))
    search = index.search("a man with an umbrella walks by day")
    assert search.matches[0].row == 1234 and {"man", "walks"} <= set(search.common)
    assert len(search.matches) == 1 and search.matches[0].coverage == 1.0
    # Where nothing is rarer, what many texts hold is looked for.
    assert len(index.search("by day").matches) > 500 - 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"text": " "}, "needs words"),
        ({"text": "x" * 3000}, "at most 2,000 characters, got 3,000"),
        ({"text": "x", "limit": 0}, "1 to 100 hits, got limit 0"),
        ({"text": "x", "channels": ("sound",)}, "channels are event, .*; got sound"),
    ],
)
def test_a_query_that_cannot_be_is_one_clear_line(settings, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MemoryQuery(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"channel": "sound"}, "is one of event"),
        ({"text": " \n"}, "needs a text"),
        ({"text": "x" * 20_001}, "at most 20,000 characters, got 20,001"),
        ({"level": 3}, "0, 1 or 2, got 3"),
    ],
)
def test_a_record_that_cannot_be_is_one_clear_line(settings, message: str) -> None:
    fields = {"channel": "event", "span": Span(0, 1), "text": "x", "source": "frames"}
    with pytest.raises(UsageError, match=message):
        MemoryRecord(**(fields | settings))


@pytest.mark.parametrize(
    "query", ['"', '" OR "', "a* NOT b", "NEAR(a b)", "col:umn", "'; --", "\x00"]
)
def test_the_language_of_the_index_is_only_text(query: str) -> None:
    memory = make_memory([*ENGLISH, "NEAR the column, not b."])
    assert all("column" in text or "NEAR" in text for text in find(memory, query))


@pytest.mark.parametrize(
    ("stored", "query"),
    [
        ("It is twenty two degrees.", "22"),
        ("It is 22 degrees.", "twenty-two degrees"),
        ("About ten percent of it.", "10 %"),
        ("It costs $1,200 today.", "twelve hundred dollars"),
        ("Founded in nineteen eighty four.", "1984"),
        ("A budget of 2.5 million.", "2500000"),
        ("The twenty-first of May.", "21st"),
        ("Women wait in line.", "woman"),
        ("A child sleeps.", "children"),
        ("The cities of the plain.", "city"),
        ("The colour of the theatre.", "color theater"),
        ("They organize travelling shows.", "organise traveling"),
        ("A large data set.", "dataset"),
        ("A large dataset.", "data set"),
        ("Send an e-mail.", "email"),
    ],
)
def test_words_are_found_in_every_form(stored: str, query: str) -> None:
    assert find(make_memory([*GERMAN, stored]), query)[0] == stored


@pytest.mark.parametrize(
    ("text", "alike"),
    [
        ("two hundred and fifty three", "253"),
        ("thirty thousand five hundred", "30500"),
        ("two million three hundred thousand", "2300000"),
        ("one two three", "1 2 3"),
        ("half past twelve thirty", "half past 12 30"),
        ("1,200,000 and 3.5", "1200000 and 3.5"),
        ("9" * 40 + " million", "9" * 40 + " 1000000"),
        ("a weightless tent of often", "a weightless tent of often"),
    ],
)
def test_numbers_are_written_alike(text: str, alike: str) -> None:
    assert write_numbers_alike(text) == alike


def test_everyday_words_find_the_labels_that_mean_them_and_no_speech() -> None:
    memory = VideoMemory()
    memory.add(
        [
            MemoryRecord("label", Span(0, 5), "golden retriever, dog, animal", "labels", "net"),
            MemoryRecord("label", Span(5, 9), "sea lion, animal", "labels", "net"),
            MemoryRecord("speech", Span(0, 4), "The dog of the house.", "a.srt"),
        ]
    )
    assert find(memory, "a puppy") == ["golden retriever, dog, animal"]
    assert find(memory, "seals") == ["sea lion, animal"]


def test_what_many_records_hold_is_left_out_where_something_rarer_is_there() -> None:
    index = TextIndex()
    index.add_texts(
        (i, f"the report of item {i} {'blue' if i % 10 else 'red'}") for i in range(4_000)
    )
    search = index.search("red report 2750")
    assert [match.row for match in search.matches] == [2750]
    assert {match.row % 10 for match in index.search("red").matches} == {0}


def test_questions_about_something_else_lie_below_the_floor_of_an_embedder() -> None:
    embedder = Embedder("letters", lambda texts: [[t.count(c) for c in "etaoins"] for t in texts])
    # Counts of letters are alike everywhere: such an embedder tells nothing from nothing.
    assert measure_embedder_floor(embedder) > 0.9
    index = VectorIndex(Embedder("minilm-l6 0123", lambda texts: [[1.0, 0.0] for _ in texts]))
    assert index.measure_floor() == USUAL_FLOORS["minilm-l6"], "before there are texts"
    index.add_vectors([0], np.array([[0.0, 1.0]], np.float32))
    assert index.measure_floor() == USUAL_FLOORS["minilm-l6"]
