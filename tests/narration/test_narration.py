"""Made narrations: what is in the file is what their truth says."""

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mmreason.narration import (
    NarratedScene,
    Narration,
    NarrationError,
    NarrationTruth,
    PannedPhotograph,
    Slide,
    SlideLine,
    SpokenTrack,
    describe_narration,
    draw_frame,
    list_photographs,
    make_narration,
    make_narrations,
    make_questions,
    render_narration,
    speak_narration,
)
from mmreason.narration.demo_clip import demo_narration, list_demo_questions, read_demo_track
from mmreason.narration.maker import name_label, read_narration_texts

SIZE_PX = (256, 144)


@pytest.fixture(scope="module")
def narration() -> Narration:
    return make_narration(1)


@pytest.fixture(scope="module")
def track(narration: Narration) -> SpokenTrack:
    return speak_narration(narration)


@pytest.fixture(scope="module")
def truth(narration: Narration, track: SpokenTrack) -> NarrationTruth:
    return describe_narration(narration, track)


def test_a_seed_gives_the_same_narration_and_another_seed_another() -> None:
    assert make_narration(5) == make_narration(5) != make_narration(6)


def test_every_narration_tells_through_all_three_channels() -> None:
    for seed in range(60):
        narration = make_narration(seed)
        assert 3 <= len(narration.scenes) <= 6
        assert {fact.channel for fact in narration.facts} == {"speech", "screen_text", "label"}
        families = [fact.family for fact in narration.facts if fact.channel != "label"]
        assert len(families) == len(set(families))


def test_a_fact_is_told_through_its_channel_alone() -> None:
    for narration in make_narrations(20, seed=3):
        said = " ".join(s for scene in narration.scenes for s in scene.sentences).lower()
        shown = " ".join(
            line.text
            for scene in narration.scenes
            if isinstance(scene.ground, Slide)
            for line in scene.ground.lines
        ).lower()
        for fact in narration.facts:
            subject = fact.subject.removeprefix("the ").lower()
            if fact.channel == "label":
                assert fact.value not in said.split() and fact.value not in shown.split()
            else:
                assert (subject in said) == (fact.channel == "speech"), fact
                assert (subject in shown) == (fact.channel == "screen_text"), fact


def test_fifty_narrations_tell_about_different_subjects() -> None:
    facts = [
        (fact.family, fact.subject)
        for narration in make_narrations(50)
        for fact in narration.facts
        if fact.channel != "label"
    ]
    assert len(facts) == len(set(facts)) > 150
    with pytest.raises(NarrationError, match="make fewer"):
        make_narrations(500)


def test_there_are_enough_families_and_phrasings() -> None:
    families = read_narration_texts().families
    assert len(families) >= 10
    for family in families:
        assert len(set(family.spoken)) >= 6 and len(set(family.questions)) >= 6
        assert all("{value}" in text for text in (*family.spoken, *family.written))
        assert not any("{value}" in text for text in family.questions)


def test_scenes_follow_each_other_and_last_four_seconds_or_more(track: SpokenTrack) -> None:
    assert track.scenes[0].start_s == 0
    for before, after in zip(track.scenes, track.scenes[1:], strict=False):
        assert before.end_s == after.start_s
    assert all(4 <= span.duration_s <= 10 for span in track.scenes)
    for sentence in track.sentences:
        assert sentence.span.clip(track.scenes[sentence.scene]) == sentence.span
    assert len(track.samples) == round(track.duration_s * track.rate_hz)


def test_the_file_holds_the_sound_at_the_times_of_the_truth(
    narration: Narration, track: SpokenTrack, tmp_path: Path
) -> None:
    path = tmp_path / "talk.mp4"
    truth = render_narration(narration, path, size_px=SIZE_PX, fps_hz=2, track=track)
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        blocks = [frame.to_ndarray()[0] for frame in container.decode(sound)]
    with av.open(str(path)) as container:
        times = [frame.time for frame in container.decode(video=0)]
    samples = np.concatenate(blocks)
    stretch = slice(60_000, 80_000)
    lags = range(-1_100, 1_101, 4)
    best = max(
        lags,
        key=lambda lag: float(
            np.dot(track.samples[stretch], samples[stretch.start + lag : stretch.stop + lag])
        ),
    )
    assert abs(best) <= 22  # a millisecond
    assert len(times) == round(2 * truth.duration_s) and not list(tmp_path.glob("*.tmp"))


def test_a_line_is_drawn_in_its_box_from_its_time_on(
    narration: Narration, track: SpokenTrack, truth: NarrationTruth
) -> None:
    plain = replace(narration, has_cursor=False, has_inset=False)
    for line in truth.lines:
        span = track.scenes[line.scene]
        before_s = max(span.start_s, line.span.start_s - 0.1)
        shown = np.asarray(draw_frame(plain, track, line.span.start_s), np.int16)
        ground = shown[-1, 0]
        x0, y0, x1, y1 = line.box_px
        ink = np.abs(shown - ground).max(axis=2) > 60
        assert ink[y0:y1, x0:x1].mean() > 0.05
        # One pixel of antialiasing at most lies outside.
        ink[max(0, y0 - 1) : y1 + 1, max(0, x0 - 1) : x1 + 1] = False
        assert not ink[y0:y1].any()
        if before_s < line.span.start_s:
            earlier = np.asarray(draw_frame(plain, track, before_s), np.int16)
            assert np.abs(earlier - ground).max(axis=2)[y0:y1, x0:x1].max() <= 60


def test_a_photograph_moves_and_a_slide_does_not(track: SpokenTrack, narration: Narration) -> None:
    plain = replace(narration, has_cursor=False, has_inset=False)
    for scene, span in zip(plain.scenes, track.scenes, strict=True):
        late = [span.end_s - 1.2, span.end_s - 0.2]
        first, last = (np.asarray(draw_frame(plain, track, time_s), np.int16) for time_s in late)
        moved = float(np.abs(first - last).mean())
        assert (moved > 1) == isinstance(scene.ground, PannedPhotograph)


def test_cursor_and_inset_move_over_slides(track: SpokenTrack, narration: Narration) -> None:
    time_s = track.scenes[0].end_s - 0.5
    plain = np.asarray(
        draw_frame(replace(narration, has_cursor=False, has_inset=False), track, time_s), np.int16
    )
    for name in ("has_cursor", "has_inset"):
        busy = replace(narration, **{"has_cursor": False, "has_inset": False, name: True})
        frames = [np.asarray(draw_frame(busy, track, t), np.int16) for t in (time_s, time_s + 0.3)]
        assert np.abs(frames[0] - plain).max() > 60
        assert not np.array_equal(frames[0], frames[1])


def test_questions_have_their_answers_and_the_others_none(
    narration: Narration, truth: NarrationTruth
) -> None:
    questions = make_questions(narration, truth)
    assert questions == make_questions(narration, truth)
    answerable = [question for question in questions if question.kind == "answerable"]
    assert len(answerable) == len(narration.facts)
    for question in answerable:
        assert question.answer and question.quote and question.spans
        assert all(span.end_s <= truth.duration_s for span in question.spans)
        if question.channel != "label":
            assert question.answer.lower() in question.quote.lower()
            assert question.answer in question.options and len(set(question.options)) == 4
            assert question.answer.lower() not in question.text.lower()
    kinds = [question.kind for question in questions if question.kind != "answerable"]
    assert kinds == ["near_miss", "off_topic", "gibberish", "absent_label"]
    subjects = {fact.subject for fact in narration.facts}
    for question in questions[-4:]:
        assert question.answer is None and question.spans == ()
        assert not any(subject in question.text for subject in subjects)


def test_own_photographs_are_labelled_by_their_names(tmp_path: Path) -> None:
    Image.new("RGB", (320, 200), (40, 160, 40)).save(tmp_path / "red_fox_2.png")
    narration = make_narration(4, pictures=tmp_path)
    assert {fact.value for fact in narration.facts if fact.channel == "label"} == {"red fox"}
    assert name_label(Path("cat.jpg")) == "cat"
    with pytest.raises(NarrationError, match="no picture"):
        list_photographs(tmp_path / "nothing")


def test_what_cannot_be_rendered_is_refused(tmp_path: Path, track: SpokenTrack) -> None:
    wide = Narration(
        seed=0,
        scenes=(NarratedScene(ground=Slide((SlideLine("wide " * 60),)), sentences=("Hello.",)),),
    )
    with pytest.raises(NarrationError, match="does not fit"):
        render_narration(wide, tmp_path / "a.mp4", track=replace(track, scenes=track.scenes[:1]))
    with pytest.raises(NarrationError, match="even numbers"):
        render_narration(wide, tmp_path / "a.mp4", size_px=(321, 200), track=track)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = NarratedScene(
        ground=PannedPhotograph(tmp_path / "broken.png", "broken"), sentences=("Hello.",)
    )
    with pytest.raises(NarrationError, match=r"broken\.png: cannot be read"):
        render_narration(
            Narration(seed=0, scenes=(broken,)),
            tmp_path / "a.mp4",
            track=replace(track, scenes=track.scenes[:1]),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["broken.png"]


def test_the_packaged_speech_is_that_of_the_demo() -> None:
    narration, track = demo_narration(), read_demo_track()
    texts = [text for scene in narration.scenes for text in scene.sentences]
    assert [sentence.text for sentence in track.sentences] == texts
    spoken = speak_narration(narration)
    assert track.scenes == spoken.scenes
    heard = np.interp(
        np.arange(len(track.samples)) / track.rate_hz,
        np.arange(len(spoken.samples)) / spoken.rate_hz,
        spoken.samples,
    )
    assert np.corrcoef(heard, track.samples)[0, 1] > 0.8
    questions = list_demo_questions(describe_narration(narration, track))
    assert [question.channel for question in questions] == ["speech", "screen_text", "label"]
