"""Pairs of runs whose difference is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage
from mmreason.training.evaluation.compare import compare_scores
from mmreason.training.evaluation.problems import evaluate_problems
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.types import UsageError
from tests.training.evaluation.made_samples import ask_colours, first_option, perfect, scripted

OFF = EvaluateSettings(audit="off")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    """Each about a file of its own."""
    folder = tmp_path_factory.mktemp("pictures")
    result = []
    for sample in ask_colours(folder):
        own = folder / f"{sample.id}.png"
        own.write_bytes(Path(sample.media[0].path).read_bytes())
        picture = MediaRef(kind=MediaKind.IMAGE, paths=(str(own),))
        parts = (picture, sample.question)
        message = SampleMessage(role="user", parts=parts)
        result.append(replace(sample, messages=(message, sample.messages[1])))
    return tuple(result)


def test_a_better_model_is_said_to_be_better(samples: tuple[Sample, ...]) -> None:
    settings = replace(OFF, circular=True)
    first = evaluate_problems(samples, scripted(perfect, "sees"), settings)
    second = evaluate_problems(samples, scripted(first_option, "guesses"), settings)
    comparison = compare_scores(first, second)
    lenient, strict, circular = comparison.differences
    assert (lenient.both, lenient.only_first, lenient.only_second, lenient.neither) == (4, 12, 0, 0)
    # All twelve that tell them apart are for the first: 2 / 2 ** 12.
    assert lenient.mcnemar_p == pytest.approx(2 / 2**12)
    assert lenient.difference.value == strict.difference.value == 0.75
    assert circular.difference.value == 1
    assert comparison.verdict.startswith("sees is better than guesses by +75.0")
    assert comparison.verdict.endswith("a difference is shown")
    assert compare_scores(second, first).verdict.startswith("guesses is worse than sees by -75.0")


def test_equal_models_are_not_told_apart(samples: tuple[Sample, ...]) -> None:
    runs = [evaluate_problems(samples, scripted(perfect), OFF) for _ in range(2)]
    comparison = compare_scores(*runs)
    assert not comparison.differences[0].is_shown
    assert comparison.verdict.endswith("no difference is shown")
    assert (comparison.first, comparison.second) == (
        "scripted (first run)",
        "scripted (second run)",
    )
    assert json.loads(json.dumps(comparison.to_dict()))["verdict"] == comparison.verdict


def test_one_video_with_many_questions_shows_nothing(tmp_path: Path) -> None:
    samples = [s for s in ask_colours(tmp_path) if "green" in s.media[0].path]
    first = evaluate_problems(samples, scripted(perfect, "sees"), OFF)
    second = evaluate_problems(samples, scripted(first_option, "guesses"), OFF)
    assert not compare_scores(first, second).differences[0].is_shown


def test_settings_that_differ_are_named(samples: tuple[Sample, ...]) -> None:
    first = evaluate_problems(samples, scripted(perfect), OFF)
    second = evaluate_problems(samples, scripted(perfect), replace(OFF, frames=7))
    names = [name for name, _, _ in compare_scores(first, second).settings_that_differ]
    assert names == ["settings.frames", "clip.frames"]


def test_questions_that_could_not_be_asked_are_in_no_figure(
    samples: tuple[Sample, ...], tmp_path: Path
) -> None:
    gone = MediaRef(kind=MediaKind.IMAGE, paths=(str(tmp_path / "gone.png"),))
    message = SampleMessage(role="user", parts=(gone, "?"))
    rows = [*samples[:4], replace(samples[5], messages=(message,))]
    first = evaluate_problems(rows, scripted(perfect), OFF)
    second = evaluate_problems([*rows, samples[9]], scripted(perfect), OFF)
    comparison = compare_scores(first, second)
    assert (comparison.questions, comparison.not_asked, comparison.only_in_one) == (4, 1, 1)


def test_runs_on_other_questions_are_refused(samples: tuple[Sample, ...]) -> None:
    first = evaluate_problems(samples[:2], scripted(perfect), OFF)
    other = evaluate_problems(samples[2:4], scripted(perfect), OFF)
    with pytest.raises(UsageError, match="no question in common"):
        compare_scores(first, other)
    changed = replace(samples[0], truth=replace(samples[0].truth, choice=1))
    third = evaluate_problems([changed], scripted(perfect), OFF)
    with pytest.raises(UsageError, match="not the same in both runs, the first is 'q0'"):
        compare_scores(first, third)
