"""Whole runs of scripted models, whose scores are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.models.scripted import ScriptedModel
from mmreason.training.data.sample import (
    MediaKind,
    MediaRef,
    RowFault,
    Sample,
    SampleMessage,
    SourceLine,
)
from mmreason.training.evaluation.problems import ModelFailed, evaluate_problems, read_scores
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.training.rewards import Truth
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from tests.training.evaluation.made_samples import (
    ask_colours,
    first_option,
    perfect,
    says_red,
    scripted,
)

OFF = EvaluateSettings(audit="off")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    return ask_colours(tmp_path_factory.mktemp("pictures"))


def test_a_perfect_model_is_right_everywhere(samples: tuple[Sample, ...]) -> None:
    scores = evaluate_problems(samples, scripted(perfect), replace(OFF, circular=True))
    assert scores.circular is not None
    for figure in (
        scores.strict.all_rows,
        scores.lenient.all_rows,
        scores.circular.all_rotations,
    ):
        assert (figure.value, figure.n, figure.clusters) == (1.0, 16, 4)
    assert scores.format_failures.value == scores.refusals.value == 0
    assert [p.picked.value for p in scores.circular.positions] == [0.25] * 4
    assert all(
        table.counts[i][i] == 4 for table in scores.confusions for i in range(len(table.truths))
    )


def test_a_model_that_takes_the_first_option_has_the_score_of_guessing(
    samples: tuple[Sample, ...],
) -> None:
    scores = evaluate_problems(samples, scripted(first_option), replace(OFF, circular=True))
    assert scores.lenient.all_rows.value == scores.chance.value == 0.25
    assert scores.circular is not None
    # One rotation of four puts the right option first, and the others do not.
    assert scores.circular.all_rotations.value == 0
    assert [p.picked.value for p in scores.circular.positions] == [1, 0, 0, 0]
    assert [p.right.value for p in scores.circular.positions] == [1, 0, 0, 0]


def test_words_around_an_answer_are_right_leniently_and_not_strictly(
    samples: tuple[Sample, ...],
) -> None:
    scores = evaluate_problems(samples, scripted(says_red), OFF)
    assert (scores.lenient.all_rows.value, scores.strict.all_rows.value) == (0.25, 0)


def test_a_random_model_has_exactly_the_score_of_its_draws(samples: tuple[Sample, ...]) -> None:
    letters = [f"{'ABCD'[(7 * i + 3) % 4]}" for i in range(16)]
    queue = iter(letters)
    model = scripted(lambda text, frames: next(queue))
    scores = evaluate_problems(samples, model, OFF)
    hits = sum("ABCD"[s.truth.choice or 0] == g for s, g in zip(samples, letters, strict=True))
    assert scores.lenient.all_rows.value == hits / 16


def test_what_cannot_be_read_is_a_row_with_the_reason(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    gone = MediaRef(kind=MediaKind.VIDEO, paths=(str(tmp_path / "gone.mp4"),))
    sound = MediaRef(kind=MediaKind.AUDIO, paths=("a.wav",))
    bad = [
        replace(samples[i], id=f"bad{i}", messages=(SampleMessage(role="user", parts=(m, "?")),))
        for i, m in enumerate((gone, sound))
    ]
    fault = RowFault(SourceLine("made.jsonl", 99), "2 files for 1 placeholder")
    scores = evaluate_problems([*samples[:4], *bad], scripted(perfect), OFF, faults=[fault])
    assert (scores.lenient.answered.value, scores.lenient.answered.n) == (1.0, 4)
    assert (scores.lenient.all_rows.value, scores.lenient.all_rows.n) == (4 / 7, 7)
    reasons = " ".join(scores.errors)
    for word in ("gone.mp4", "no model here hears", "2 files for 1 placeholder"):
        assert word in reasons


def test_no_row_that_can_be_asked_is_an_error(samples: tuple[Sample, ...], tmp_path: Path) -> None:
    gone = MediaRef(kind=MediaKind.IMAGE, paths=(str(tmp_path / "gone.png"),))
    bad = replace(samples[0], messages=(SampleMessage(role="user", parts=(gone, "?")),))
    with pytest.raises(UsageError, match=r"none of 1 conversations could be asked.*gone\.png"):
        evaluate_problems([bad], scripted(perfect), OFF)


def test_a_model_that_raises_for_one_conversation_fails_that_row_alone(
    samples: tuple[Sample, ...],
) -> None:
    parts = (SampleMessage(role="user", parts=("Odd?",)),)
    odd = replace(samples[3], id="odd", messages=parts)

    def fails_on_odd(text: str, frames: FrameBatch | None) -> str:
        if text == "Odd?":
            raise KeyError("unscripted")
        return perfect(text, frames)

    scores = evaluate_problems([*samples[:3], odd], scripted(fails_on_odd), OFF)
    assert scores.errors == {"KeyError: 'unscripted'": 1}
    assert (scores.lenient.answered.value, scores.lenient.all_rows.value) == (1.0, 0.75)


def test_a_model_that_is_down_ends_the_run_and_is_asked_again(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    many = [replace(s, id=f"{s.id}-{n}") for n in range(2) for s in samples]
    answered = 0

    def dies(text: str, frames: FrameBatch | None) -> str:
        nonlocal answered
        answered += 1
        if answered > 8:
            raise OSError("connection refused")
        return perfect(text, frames)

    with pytest.raises(ModelFailed, match="connection refused"):
        evaluate_problems(many, scripted(dies), OFF, out=tmp_path)
    scores = evaluate_problems(many, scripted(perfect), OFF, out=tmp_path)
    assert (scores.lenient.all_rows.value, scores.errors) == (1.0, {})


def test_rows_without_truth_are_counted_and_not_scored(samples: tuple[Sample, ...]) -> None:
    plain = Sample(id="plain", messages=(SampleMessage(role="user", parts=("Tell me.",)),))
    scores = evaluate_problems([samples[0], plain], scripted(perfect), OFF)
    assert (scores.without_truth, scores.lenient.all_rows.n) == (1, 1)


def test_more_options_than_letters_are_refused(samples: tuple[Sample, ...]) -> None:
    many = Truth(options=tuple(map(str, range(27))), choice=0)
    with pytest.raises(UsageError, match="has 27 options, expected at most 26"):
        evaluate_problems([replace(samples[0], truth=many)], scripted(perfect), OFF)


def cut_at(path: Path, rows: int, tail: bytes = b"") -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: 1 + rows]) + tail)


@pytest.mark.parametrize(("rows", "tail"), [(0, b""), (5, b'{"id": "q'), (8, b""), (11, b"")])
def test_a_run_that_was_cut_short_ends_with_the_same_file(
    samples: tuple[Sample, ...], tmp_path: Path, rows: int, tail: bytes
) -> None:
    settings = EvaluateSettings(circular=True, batch_size=4, audit_questions=3)
    evaluate_problems(samples[:6], scripted(perfect), settings, out=tmp_path)
    file = tmp_path / "rows.jsonl"
    whole = file.read_bytes()
    cut_at(file, rows, tail)
    again = evaluate_problems(samples[:6], scripted(perfect), settings, out=tmp_path)
    assert file.read_bytes() == whole
    assert read_scores(tmp_path).to_dict() == again.to_dict()


def test_another_setting_in_the_same_folder_is_refused_by_name(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    evaluate_problems(samples[:2], scripted(perfect), OFF, out=tmp_path)
    with pytest.raises(UsageError, match=r"settings\.frames is None there and 7 here"):
        evaluate_problems(samples[:2], scripted(perfect), replace(OFF, frames=7), out=tmp_path)
    with pytest.raises(UsageError, match="data_sha256"):
        evaluate_problems(samples[:3], scripted(perfect), OFF, out=tmp_path)
    with pytest.raises(UsageError, match="model_fingerprint"):
        evaluate_problems(samples[:2], scripted(perfect, "other"), OFF, out=tmp_path)


def test_a_run_that_is_not_finished_is_not_read(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    evaluate_problems(samples[:4], scripted(perfect), OFF, out=tmp_path)
    cut_at(tmp_path / "rows.jsonl", 3)
    with pytest.raises(UsageError, match="holds 3 of 4 rows"):
        read_scores(tmp_path)


class Judge:
    """Takes everything for right; while down it says nothing to every second item."""

    name = "strict teacher"

    def __init__(self, is_down: bool) -> None:
        self.is_down = is_down
        self.asked = 0

    def judge(self, items: list[object]) -> list[bool | None]:
        self.asked += len(items)
        return [None if self.is_down and i % 2 else True for i in range(len(items))]


def test_a_judge_that_is_down_is_told_and_asked_again(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    model: ScriptedModel = scripted(first_option)
    down = evaluate_problems(samples, model, OFF, out=tmp_path, judge=Judge(is_down=True))
    assert (down.not_judged, down.judged.answered.n) == (8, 8)
    judge = Judge(is_down=False)
    scores = evaluate_problems(samples, model, OFF, out=tmp_path, judge=judge)
    assert (scores.not_judged, scores.judged.answered.value, judge.asked) == (0, 1.0, 8)
    # The lenient score is one of its own.
    assert scores.lenient.all_rows.value == 0.25
