"""Right answers that are planted in a text are found as often as they stand there."""

from __future__ import annotations

import unicodedata

import pytest

from mmreason.training.evaluation.projection import (
    BUCKETS,
    AnswerSupport,
    find_answer,
    project_answers,
)
from mmreason.training.evaluation.training_text import TextIndex, read_training_text, split_tokens
from mmreason.types import UsageError

QUESTION = "What colour is the kettle in the kitchen?"
NOISE = [f"the number {n} stands in row {n}" for n in range(200)]


@pytest.mark.parametrize(
    ("count", "bucket"), [(0, "unsupported"), (3, "1-5"), (12, "6-20"), (30, "21-50"), (60, "51+")]
)
def test_an_answer_lands_in_the_bucket_of_its_plantings(count: int, bucket: str) -> None:
    planted = ["in the kitchen stands a kettle that is crimson"] * count
    # The same word of another thing is found, and is no support.
    homographs = ["crimson tide won the cup"] * 40
    index = TextIndex([*NOISE, *planted, *homographs])
    support = project_answers({"1": (QUESTION, ["crimson"])}, index)["1"]
    assert (support.documents, support.bucket) == (count, bucket)


@pytest.mark.parametrize(("supported", "total"), [(7_490, 10_570), (2_389, 3_610)])
def test_supported_and_unsupported_are_all_and_share_none(supported: int, total: int) -> None:
    supports = [AnswerSupport(1 + n % 99 if n < supported else 0) for n in range(total)]
    names = [name for name, _, _ in BUCKETS]
    counts = {name: sum(s.bucket == name for s in supports) for name in names}
    assert counts["unsupported"] == total - supported == sum(not s.is_supported for s in supports)
    assert sum(counts.values()) == total


def test_an_empty_answer_is_in_no_text_and_a_number_in_no_longer_one() -> None:
    index = TextIndex(["it was built in 2010 of 10 stones", "in 2010"])
    assert list(find_answer("", index.tokens[0])) == []
    assert list(find_answer("...", index.tokens[0])) == []
    questions = {
        "n": ("Of how many stones?", ["10"]),
        "e": ("What?", [""]),
        "y": ("Is it?", ["Yes"]),
    }
    supports = project_answers(questions, index)
    assert {name: s.documents for name, s in supports.items()} == {"n": 1}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("ten stones", "10"),
        ("1,200 people", "1200"),
        ("it weighs 2.50 kg", "2.5"),
        ("\u0662\u0660\u0661\u0660", "2010"),
        ("\uff11\uff10 stones", "ten"),
        (unicodedata.normalize("NFD", "a café here"), unicodedata.normalize("NFC", "CAFÉ")),
        ("\u7ea2\u8272\u7684\u732b", "\u7ea2\u8272"),
        ("\u0932\u093e\u0932 \u0930\u0902\u0917", "\u0932\u093e\u0932"),
        ("STRASSE", "stra\u00dfe"),
    ],
)
def test_the_same_answer_is_found_however_it_is_written(text: str, answer: str) -> None:
    assert list(find_answer(answer, split_tokens(text)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [("in 2010", "10"), ("3d glasses", "3"), ("reddish", "red"), ("1200", "120"), ("x", "")],
)
def test_a_part_of_a_word_is_not_the_word(text: str, answer: str) -> None:
    assert not list(find_answer(answer, split_tokens(text)))


def test_bm25_prefers_rare_words_and_short_documents() -> None:
    index = TextIndex(["the the the cat", "the cat " + "and more " * 40, "a dog", "the"])
    assert index.search("the cat", 2) == [0, 1]
    assert index.search("nothing of it", 5) == []


def test_training_text_is_read_from_rows_and_from_plain_text(tmp_path) -> None:
    rows = tmp_path / "rows.jsonl"
    turns = '[{"role": "user", "content": "Hot?"}, {"role": "assistant", "content": "Very."}]'
    rows.write_text(f'{{"messages": {turns}}}\n')
    text = tmp_path / "text.txt"
    text.write_text("word " * 450)
    index = read_training_text([rows, text])
    assert [len(tokens) for tokens in index.tokens] == [2, 200, 200, 50]
    with pytest.raises(UsageError, match=r"gone\.txt: cannot be read"):
        read_training_text([tmp_path / "gone.txt"])
