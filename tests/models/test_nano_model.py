"""Nano behind its guard: what reaches the weights, what comes back, and what is told of it."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest

from mmreason.models.base import (
    ClipRecipe,
    FramesPart,
    GenerateRequest,
    Message,
    TextPart,
    cut_at_stop,
)
from mmreason.models.calibration import Calibration
from mmreason.models.hf import TransformersModel
from mmreason.models.nano_model import NanoModel
from mmreason.models.nano_replies import OUTSIDE
from mmreason.models.scripted import ScriptedModel
from mmreason.types import UsageError
from mmreason.video.types import FrameBatch
from mmreason.video.world import generate

CLIP = ClipRecipe(frames=2, size_px=(144, 80), leaf_s=3.0)
TIMES_S = np.array([0.5, 1.0])
BOX = '```json [{"bbox_2d": [0, 0, 500, 500], "label": "star"}] ```'


def _batch(pixels: np.ndarray) -> FrameBatch:
    return FrameBatch(pixels=pixels, times_s=TIMES_S, exact=np.ones(2, bool))


WORLD = _batch(np.stack([generate.demo(7).frame(t, (144, 80)) for t in TIMES_S]))
PHOTO = _batch(np.random.default_rng(1).integers(0, 255, (2, 80, 144, 3)).astype(np.uint8))


def _asked(text: str, frames: FrameBatch = WORLD) -> list[Message]:
    return [Message("user", (FramesPart(frames), TextPart(text)))]


def _nano(script, calibration: Calibration | None = None) -> tuple[NanoModel, ScriptedModel]:
    inner = ScriptedModel(script, clip=CLIP, name="nano")
    return NanoModel(cast(TransformersModel, inner), calibration), inner


def test_a_picture_of_another_kind_is_declined_unseen_and_says_why():
    nano, inner = _nano({})
    reply = nano.generate(GenerateRequest([_asked("What colour is the star?", PHOTO)]))[0]
    assert reply.text == OUTSIDE and reply.confidence is None and inner.calls == 0
    assert reply.note.startswith("declined: the picture is not of its world: ")
    assert nano.notes == (reply.note,)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("Is there a dog?", "it does not know the word 'dog'"),
        ("When does the star appear?", "it does not know times"),
        ("Locate the dog. Output its bbox in JSON.", "it does not know the word 'dog'"),
        ("What is there?", "it was not taught questions of this form"),
    ],
)
def test_a_question_that_it_was_not_taught_is_declined_unasked(question, why):
    nano, inner = _nano({})
    reply = nano.generate(GenerateRequest([_asked(question)]))[0]
    assert (reply.text, reply.note, inner.calls) == (OUTSIDE, f"declined: {why}", 0)


@pytest.mark.parametrize(
    ("question", "written"),
    [
        ("What colour is the star?", "a white dotted star"),
        ("How does the star move?", "then nothing"),
        ("Describe the clip.", "a a a a a a"),
        ("Locate the star. Output its bbox in JSON.", "a red star"),
    ],
)
def test_what_is_no_answer_is_not_passed_on(question, written):
    nano, _ = _nano({question: written})
    reply = nano.generate(GenerateRequest([_asked(question)]))[0]
    assert reply.text == OUTSIDE
    assert reply.note == (
        f"declined: what it wrote is no answer that it was taught to give: {written!r}"
    )


@pytest.mark.parametrize(
    ("question", "written"),
    [
        ("What colour is the star?", "pink"),
        ("What colour is the star?", OUTSIDE),
        ("What colour is the star?", "there is no star"),
        ("Describe the clip.", "a small red star stays still."),
        ("Locate the star. Output its bbox in JSON.", BOX),
    ],
)
def test_answers_pass_as_they_are(question, written):
    nano, _ = _nano({question: written})
    reply = nano.generate(GenerateRequest([_asked(question)]))[0]
    assert (reply.text, reply.note) == (written, "")


def test_a_question_in_other_words_is_asked_in_the_taught_ones_and_says_so():
    nano, inner = _nano({"What colour is the star?": "pink"})
    reply = nano.generate(GenerateRequest([_asked("what color is the star")]))[0]
    assert reply.text == "pink" and reply.note == "asked as 'What colour is the star?'"
    assert [one.text for one in inner.asked] == ["What colour is the star?"]


def test_yes_or_no_about_a_size_is_answered_with_the_size():
    nano, _ = _nano({"Is the star small or large?": "small", "Is there a star?": "yes"})
    assert nano.generate(GenerateRequest([_asked("Is the star large?")]))[0].text == "small"


def test_nothing_is_said_of_a_thing_that_is_not_there():
    nano, _ = _nano({"Is the star small or large?": "small", "Is there a star?": "no"})
    reply = nano.generate(GenerateRequest([_asked("Is the star small or large?")]))[0]
    assert reply.text == "there is no star"
    assert reply.note == "'Is there a star?' was answered 'no'"


@pytest.mark.parametrize(
    ("there", "size", "answer"),
    [("yes", "large", "yes"), ("yes", "small", "no"), ("no", "large", "no")],
)
def test_a_thing_of_a_size_is_there_where_the_thing_is_and_has_it(there, size, answer):
    script = {"Is there a yellow ring?": there, "Is the yellow ring small or large?": size}
    nano, _ = _nano(script)
    assert (
        nano.generate(GenerateRequest([_asked("Is there a large yellow ring?")]))[0].text == answer
    )


def test_replies_stand_in_the_order_of_the_questions():
    nano, inner = _nano(
        {
            "What colour is the star?": "pink",
            "Is the ring small or large?": "large",
            "Is there a ring?": "yes",
        }
    )
    texts = ["Is there a dog?", "Is the ring small or large?", "What colour is the star?"]
    replies = nano.generate(GenerateRequest([*map(_asked, texts), _asked(texts[2], PHOTO)]))
    assert [one.text for one in replies] == [OUTSIDE, "large", "pink", OUTSIDE]
    assert replies[1].tokens_in > replies[2].tokens_in  # two questions were asked for it
    assert inner.calls == 3


def test_conversations_of_agents_go_to_the_weights_as_they_are():
    nano, _ = _nano(lambda text, frames: "<tool>look</tool>")
    told = [Message("user", (TextPart("Where to look for the dog?"),))]
    assert nano.generate(GenerateRequest([told, [*told, *told]]))[1].text == "<tool>look</tool>"


def test_confidence_is_the_measured_share_that_is_right():
    raw, _ = _nano({"What colour is the star?": "pink"})
    known = Calibration({"question": ((0.5, 0.2), (1.0, 0.6))})
    nano, _ = _nano({"What colour is the star?": "pink"}, known)
    asked = [_asked("What colour is the star?")]
    stated = raw.generate(GenerateRequest(asked))[0].confidence
    assert stated is not None and not raw.calibrated and nano.calibrated
    assert nano.generate(GenerateRequest(asked))[0].confidence == pytest.approx(
        0.2 + 0.8 * (stated - 0.5)
    )


def test_kinds_that_were_not_measured_keep_the_stated_confidence():
    nano, _ = _nano({"Describe the clip.": "nothing is there."}, Calibration({}))
    assert nano.generate(GenerateRequest([_asked("Describe the clip.")]))[
        0
    ].confidence == pytest.approx(0.905, 0.01)


def test_the_rules_are_part_of_the_fingerprint():
    nano, inner = _nano({})
    assert nano.fingerprint != inner.fingerprint


def test_notes_stay_few():
    nano, _ = _nano({})
    for letter in "bcdefghijklm":
        nano.generate(GenerateRequest([_asked(f"Is there a {letter}?")]))
    assert len(nano.notes) == 10 and "'m'" in nano.notes[-1]


def test_a_calibration_is_read_back_as_it_was_written(tmp_path):
    known = Calibration({"question": ((0.5, 0.2), (1.0, 0.6)), "box": ((0.1, 0.1),)})
    known.save(tmp_path / "known.json")
    assert Calibration.load(tmp_path / "known.json") == known


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"question": 3}', '{"question": [[0.5, 2]]}', '{"question": [[1, 0], [0, 1]]}'],
)
def test_a_damaged_calibration_is_refused(tmp_path, text):
    path = tmp_path / "known.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="calibration"):
        Calibration.load(path)


def test_the_packaged_model_comes_behind_the_guard(nano):
    assert isinstance(nano, NanoModel) and nano.lineage == "nano"
    replies = nano.generate(
        GenerateRequest([_asked("What colour is the star?", PHOTO), _asked("Is there a dog?")])
    )
    assert [one.text for one in replies] == [OUTSIDE] * 2


def test_the_weights_themselves_decline_most_footage_at_any_brightness(nano):
    from mmreason.evaluation.decline_sources import at_light, list_drawn_sources

    names = [f"drawn/{kind}-0{i}" for kind in ("card", "terminal", "page", "night") for i in (0, 1)]
    sources = {one.name: one for one in list_drawn_sources()}
    shown = [
        at_light(sources[name].windows(8, (144, 80))[0], light)
        for name in names
        for light in (1.0, 0.15)
    ]
    replies = nano.inner.generate(
        GenerateRequest(
            [_asked("How many objects are there?", frames) for frames in shown], max_new_tokens=10
        )
    )
    assert sum(one.text == OUTSIDE for one in replies) >= len(replies) - 1


def test_a_decline_of_a_size_stays_a_decline():
    script = {"Is there a yellow ring?": "yes", "Is the yellow ring small or large?": OUTSIDE}
    nano, _ = _nano(script)
    assert (
        nano.generate(GenerateRequest([_asked("Is there a large yellow ring?")]))[0].text == OUTSIDE
    )


def test_weights_write_no_further_than_a_stop_text(nano):
    """Each row of a batch ends at its own stop text, and tells every token it wrote."""
    weights = nano.inner
    later = _batch(np.stack([generate.demo(7).frame(t, (144, 80)) for t in TIMES_S + 16]))
    asked = [_asked("Describe the clip.", frames) for frames in (WORLD, later)]
    stop = ("ing", "ll p")  # inside a token, and across two
    whole = weights.generate(GenerateRequest(asked))
    ended = weights.generate(GenerateRequest(asked, stop=stop))
    for before, after in zip(whole, ended, strict=True):
        assert after.text == cut_at_stop(before.text, stop).strip() != before.text
        assert after.token_ids == before.token_ids[: after.tokens_out]
        assert after.logprobs == pytest.approx(before.logprobs[: after.tokens_out], abs=1e-4)
        written, but_last = map(weights.tokenizer.decode, (after.token_ids, after.token_ids[:-1]))
        assert cut_at_stop(written, stop) != written and cut_at_stop(but_last, stop) == but_last
    assert len({reply.tokens_out for reply in ended}) == 2
