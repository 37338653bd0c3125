"""Every JSON output has its schema's version in front and fits the schema that is shipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmreason.cli import main
from mmreason.models.scripted import ScriptedModel
from mmreason.schemas import load, names
from mmreason.schemas.generate import as_text, schema_of
from mmreason.schemas.outputs import OUTPUTS
from mmreason.types import UsageError

QUESTION = "What colour is the screen?"


def strict(schema: Any) -> Any:
    """The schema, without room for fields that it does not name."""
    if isinstance(schema, list):
        return [strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {"additionalProperties": False} if "properties" in schema else {}
    return {key: strict(one) for key, one in schema.items()} | closed


def validator() -> Any:
    """Imported where it is used: it takes seconds, which every worker would spend."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator


def check(name: str, value: dict[str, Any]) -> None:
    assert next(iter(value)) == "schema" and value["schema"] == 2
    validator()(strict(load(name))).validate(value)


Printed = Callable[..., dict[str, Any]]


@pytest.fixture
def printed(model: ScriptedModel, capsys: pytest.CaptureFixture[str]) -> Printed:
    """What a command prints with `--json`, and that it ends with the code `ends`."""

    def run(*words: object, ends: int = 0) -> dict[str, Any]:
        assert main([*map(str, words), "--json"]) == ends
        return json.loads(capsys.readouterr().out)

    return run


def test_the_files_are_what_the_records_give() -> None:
    """Run `python -m mmreason.schemas` where this fails."""
    assert set(names()) == {output.name for output in OUTPUTS}
    for output in OUTPUTS:
        schema = schema_of(output)
        validator().check_schema(schema)
        assert as_text(schema) == as_text(load(output.name)), output.name
    with pytest.raises(UsageError, match="there is no schema 'x'"):
        load("x")


def test_answers_fit(printed: Printed, clip: Path, tmp_path: Path) -> None:
    none = printed("ask", clip, QUESTION, "--budget-frames", 0, ends=3)
    check("answer", none)
    assert (none["answered"], none["text"], none["evidence"]) == (False, "", [])
    assert none["next_steps"] and none["confidence"] is None
    check("answer", printed("ask", clip, QUESTION, "--html", tmp_path / "a.html"))
    check("answer", printed("ask", clip, QUESTION, "--option", "red", "--option", "blue"))
    check("estimate", printed("ask", clip, "--dry-run"))


def test_a_quoted_answer_fits(printed: Printed, clip: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines.srt"
    lines.write_text("1\n00:00:01,000 --> 00:00:02,000\nThe budget is four million.\n")
    limits = ("--budget-frames", 0, "--subtitles", lines)
    answer = printed("ask", clip, "What is the budget?", *limits)
    check("answer", answer)
    (evidence,) = answer["evidence"]
    assert evidence["check"] == {"kind": "transcript", "by": "lines.srt", "agreed": True}
    assert evidence["verified"] and evidence["source"] == "subtitles"


def test_rows_of_answers_and_their_totals_fit(printed: Printed, clip: Path, tmp_path: Path) -> None:
    questions, answers = tmp_path / "q.jsonl", tmp_path / "a.jsonl"
    rows = [
        {"video": str(clip), "question": QUESTION, "id": "good"},
        {"video": str(tmp_path / "missing.mp4"), "question": QUESTION, "id": "bad"},
    ]
    questions.write_text("\n".join(json.dumps(row) for row in rows))
    check("answers_totals", printed("ask", "--questions", questions, "--out", answers, ends=1))
    good, bad = (json.loads(line) for line in answers.read_text().splitlines())
    check("answer", good)
    check("failed_row", bad)


def test_what_is_not_answered_is_counted_in_a_batch(
    printed: Printed, clip: Path, tmp_path: Path
) -> None:
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"video": str(clip), "question": QUESTION}))
    limits = ("--budget-frames", 0, "--out", tmp_path / "a.jsonl")
    totals = printed("ask", "--questions", questions, *limits)
    assert (totals["unanswered"], totals["failed"]) == (1, 0)


def test_checked_and_converted_data_fit(printed: Printed, tmp_path: Path) -> None:
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 4, 4]}
    annotation |= {"attributes": {"colour": "red"}, "expression": "the red dog"}
    twin = annotation | {"id": 2, "attributes": {"colour": "red"}, "expression": "a dog"}
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 8}],
        "annotations": [annotation, twin, annotation | {"id": 3, "bbox": [0, 0, 0, 4]}],
        "categories": [{"id": 1, "name": "dog"}],
    }
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document))
    checked = printed("data", "check", path, path, ends=1)
    check("data_check", checked)
    assert checked["images"][0]["expressions"] and checked["images"][0]["look_alikes"]
    check(
        "data_convert",
        printed("data", "convert", path, "--out", tmp_path / "b.jsonl", "--to", "odvg"),
    )


def test_other_verbs_fit(printed: Printed, clip: Path, tmp_path: Path) -> None:
    check("grounding", printed("ground", clip, "red half"))
    check("grounding", printed("ground", clip, "dragon", "--out", tmp_path / "d.png", ends=3))
    check("caption", printed("caption", clip))
    check("index", printed("index", clip, "--levels", "high"))
    check("inspect", printed("inspect", clip, "--sheet", tmp_path / "sheet.png"))
    check("inspect_many", printed("inspect", clip, clip.parent))
    check("sample", printed("sample", clip, "--n", 3, "--dump", tmp_path / "frames"))
    check("sample", printed("sample", clip, "--n", 3))
    check("sample_many", printed("sample", clip, clip.parent, "--n", 2))
    check("index_estimate", printed("index", clip, "--with", "shots", "--dry-run"))
    check("index", printed("index", clip, "--with", "shots"))
    check("cache", printed("cache"))
    check("weights", printed("weights", "list", "--out", tmp_path))
    # A copy: lines beside the clip of all tests would change what others are answered.
    talk = tmp_path / "talk.mp4"
    talk.write_bytes(clip.read_bytes())
    talk.with_suffix(".srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nGood morning.\n")
    check("transcribe", printed("transcribe", talk))
    check("search", printed("search", clip, "unicorn", ends=3))
    check("timeline", printed("timeline", clip, "--html", tmp_path / "t.html"))
    check("scenes", printed("scenes", clip))
    check("cache_video", printed("cache", "show", clip, "--records"))
    shard = tmp_path / "shard.sqlite3"
    assert printed("index", clip, "--levels", "high", "--store", shard)["failures"] == []
    check("cache_merge", printed("cache", "merge", shard, "--store", tmp_path / "all.sqlite3"))


@pytest.mark.slow
def test_doctor_fits(printed: Printed) -> None:
    check("doctor", printed("doctor"))


def test_steps_have_no_zero_counters_and_no_noise(printed: Printed, clip: Path) -> None:
    answer = printed("ask", clip, QUESTION)
    assert answer["cost"]["checker_calls"] >= 1 and "reasoner_calls" in answer["cost"]
    for step in answer["trace"]:
        costs = (*step["observation"]["cost"].values(), *step["thinking"].values())
        assert 0 not in costs

    def numbers(value: Any) -> list[float]:
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            return [number for one in value for number in numbers(one)]
        return [value] if isinstance(value, float) else []

    assert all(number == round(number, 6) for number in numbers(answer))
    confidence = answer["confidence"]
    assert confidence == round(confidence, 4) and answer["confidence_calibrated"] is False


def test_a_diagnosis_fits(printed: Printed, tmp_path: Path) -> None:
    run = ["eval", "refadv", "--model", "oracle:first", "--seed", 40, "--items", 3]
    check("diagnosis", printed(*run, "--kind", "video", "--out", tmp_path))
    check("diagnosis", printed("diagnose", tmp_path / "results.jsonl"))
