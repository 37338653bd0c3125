"""The knowledge audit of models of which it is known whether they look."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mmreason.models.base import Conversation, FramesPart
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage
from mmreason.training.evaluation.conditions import draw_stand_ins
from mmreason.training.evaluation.problems import evaluate_problems
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.training.evaluation.training_text import TextIndex
from mmreason.training.rewards import Truth
from mmreason.video.types import FrameBatch, Span
from tests.training.evaluation.made_samples import (
    ask_colours,
    first_option,
    longest_option,
    perfect,
    scripted,
)

FULL = EvaluateSettings(audit="full")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sample, ...]:
    return ask_colours(tmp_path_factory.mktemp("pictures"))


def by_colour(conversation: Conversation, answer: str) -> float:
    """Finds every answer likely with a picture, and unlikely without."""
    is_shown = any(isinstance(p, FramesPart) for m in conversation for p in m.parts)
    return -0.1 if is_shown else -2.0


def test_a_model_that_ignores_frames_has_no_gap_and_no_information_gain(
    samples: tuple[Sample, ...],
) -> None:
    scores = evaluate_problems(
        samples, scripted(first_option), FULL, scorer=lambda conversation, answer: -1.5
    )
    audit = scores.audit
    assert audit is not None and audit.information_gain is not None
    assert (audit.blind_gap.difference.value, audit.wrong_video_flip.value) == (0, 0)
    assert audit.information_gain.mean.value == 0
    assert audit.information_gain.quartiles == (0, 0, 0)
    # All that it has right it knew before: nothing is left of it where it is wrong blind.
    assert (audit.prior_leak.value, audit.headline.value, audit.headline.n) == (1, 0, 12)
    assert not audit.leaks[0].is_flagged


def test_a_model_that_copies_what_it_sees_is_turned_by_every_other_video(
    samples: tuple[Sample, ...],
) -> None:
    audit = evaluate_problems(samples, scripted(perfect), FULL, scorer=by_colour).audit
    assert audit is not None and audit.information_gain is not None
    assert audit.wrong_video_flip.value == 1
    assert (audit.headline.value, audit.headline.n) == (1, 12)
    assert (audit.both_right, audit.only_video, audit.only_blind, audit.neither) == (4, 12, 0, 0)
    # Four pictures, however many questions, are too few to show it.
    assert audit.blind_gap.difference.value == 0.75 and not audit.blind_gap.is_shown
    assert audit.blind_gap.permutation_p == 2 / 2**4
    assert audit.information_gain.mean.value == pytest.approx(1.9)
    assert audit.information_gain.positive.value == 1


def test_conditions_that_a_row_does_not_have_are_told_and_not_zero(
    samples: tuple[Sample, ...],
) -> None:
    audit = evaluate_problems(samples[:4], scripted(perfect), FULL).audit
    assert audit is not None
    transcript, oracle = (
        next(row for row in audit.conditions if row.condition == name)
        for name in ("transcript", "oracle span")
    )
    assert (transcript.right.n, oracle.right.n) == (0, 0)
    assert transcript.not_applicable == {"there is no transcript, and no subtitles": 4}
    assert oracle.not_applicable == {"the row does not show one video": 4}
    assert audit.evidence_sensitivity.difference.n == 0
    assert audit.information_gain is None


def test_a_transcript_stands_in_the_place_of_the_picture(samples: tuple[Sample, ...]) -> None:
    said = [
        replace(
            sample, transcript=f"The screen is {sample.truth.options[sample.truth.choice or 0]}"
        )
        for sample in samples[:8]
    ]

    def listens(text: str, frames: FrameBatch | None) -> str:
        named = text.split("\n")[1].split()[-1] if "What is said" in text else ""
        return named or "I do not know."

    audit = evaluate_problems(said, scripted(listens), FULL).audit
    assert audit is not None
    right = {row.condition: row.right.value for row in audit.conditions if row.right.n}
    assert right == {"video": 0, "blind": 0, "wrong video": 0, "transcript": 1}
    assert audit.transcript_gap.difference.value == -1


def test_leaked_options_are_flagged_and_others_are_not(samples: tuple[Sample, ...]) -> None:
    leaked = []
    for sample in samples:
        options = [
            f"{option} as far as the eye can see" if i == sample.truth.choice else option
            for i, option in enumerate(sample.truth.options)
        ]
        lines = [f"{'ABCD'[i]}. {option}" for i, option in enumerate(options)]
        question = "\n".join([sample.truth.question, *lines])
        message = SampleMessage(role="user", parts=(*sample.media, question))
        truth = replace(sample.truth, options=tuple(options))
        leaked.append(replace(sample, messages=(message,), truth=truth))
    audit = evaluate_problems(leaked, scripted(longest_option), FULL).audit
    assert audit is not None
    flagged = {check.name: check.is_flagged for check in audit.leaks}
    assert flagged == {
        "the model, blind": True,
        "always the longest option": True,
        "always the most frequent letter": False,
    }


def test_the_proof_alone_is_shown_as_the_stretch(tmp_path: Path) -> None:
    clip = MediaRef(kind=MediaKind.VIDEO, paths=(str(tmp_path / "a.mp4"),), span=Span(0, 60))
    from mmreason.training.evaluation.conditions import oracle_messages

    sample = Sample(
        id="1",
        messages=(SampleMessage(role="user", parts=(clip, "When?")),),
        truth=Truth(answer="later", spans=(Span(10, 12), Span(20, 24))),
    )
    messages = oracle_messages(sample, sample.truth)
    assert isinstance(messages, tuple)
    assert messages[0].media[0].span == Span(10, 24)


def test_stand_ins_are_a_derangement_of_videos_by_the_seed(samples: tuple[Sample, ...]) -> None:
    for seed in range(10):
        stand_ins = draw_stand_ins(samples, seed)
        pairs = {(s.media[0].path, stand_ins[s.id][0].path) for s in samples}
        assert len(pairs) == 4
        assert all(own != other for own, other in pairs)
        assert len({other for _, other in pairs}) == 4
        assert stand_ins == draw_stand_ins(samples, seed)


def test_accuracy_is_told_by_how_often_the_answer_was_learnt(samples: tuple[Sample, ...]) -> None:
    texts = ["What colour was the screen? The screen was a deep red colour."] * 3
    texts += ["The screen turned green at last."] * 12 + ["A blue whale."] * 60
    audit = evaluate_problems(
        samples, scripted(perfect), FULL, training_text=TextIndex(texts)
    ).audit
    assert audit is not None
    counts = {row.bucket: row.questions for row in audit.buckets}
    # Whales say nothing of screens, and nobody wrote of white ones.
    assert counts == {"unsupported": 8, "1-5": 4, "6-20": 4, "21-50": 0, "51+": 0}
    assert sum(counts.values()) == audit.questions
    assert audit.buckets[1].right["video"].value == 1


def test_an_audit_on_a_sample_asks_so_many_and_the_same_ones(samples: tuple[Sample, ...]) -> None:
    settings = EvaluateSettings(audit_questions=5, seed=3)
    runs = [evaluate_problems(samples, scripted(perfect), settings) for _ in range(2)]
    audited = [{row.id for row in run.rows if row.is_audited} for run in runs]
    assert audited[0] == audited[1] and len(audited[0]) == 5
    assert runs[0].lenient.all_rows.n == 16


def test_of_a_video_its_proof_and_its_subtitles_are_shown(tmp_path: Path) -> None:
    """A film that is red, then green; the proof is in the second half."""
    import av
    import numpy as np

    for name in ("film", "other"):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for number in range(20):
                colour = (220, 20, 20) if number < 10 or name == "other" else (20, 200, 20)
                pixels = np.full((32, 32, 3), colour, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    (tmp_path / "film.srt").write_text("1\n00:00:02,500 --> 00:00:03,500\nNow it is green.\n")
    samples = []
    for name, right in (("film", "green"), ("other", "red")):
        clip = MediaRef(kind=MediaKind.VIDEO, paths=(str(tmp_path / f"{name}.mp4"),))
        message = SampleMessage(role="user", parts=(clip, "Which colour comes last?"))
        truth = Truth(answer=right, spans=(Span(2.2, 3.8),))
        samples.append(Sample(id=name, messages=(message,), truth=truth))
    seen: dict[str, list[str | None]] = {}

    def watches(text: str, frames: FrameBatch | None) -> str:
        first = None if frames is None else frames.pixels[0]
        colour = None if first is None else ("red" if first[..., 0].mean() > 120 else "green")
        key = "said" if "Now it is green" in text else "shown"
        seen.setdefault(key, []).append(colour)
        return "green" if key == "said" else colour or "no idea"

    audit = evaluate_problems(samples, scripted(watches), FULL).audit
    assert audit is not None
    right = {row.condition: row.right.value for row in audit.conditions if row.right.n}
    # Of all of the film the first frame is red; of the proof alone it is green.
    assert right["video"] == 0.5 and right["oracle span"] == 1
    assert (right["blind"], right["transcript"]) == (0, 1)
    assert seen["said"] == [None]
    assert audit.evidence_sensitivity.difference.value == 0.5
