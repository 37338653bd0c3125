"""What the senses find becomes records: of speech, of screens, of labels; with real parts once."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest

from mmreason.memory.caption_records import make_speech_records
from mmreason.memory.records import MemoryQuery
from mmreason.memory.store import Store
from mmreason.memory.video_memory import VideoMemory
from mmreason.senses import Senses, list_sense_runs, load_senses, perceive
from mmreason.senses.labels import make_label_findings
from mmreason.senses.parts import plan_stretches
from mmreason.senses.screen import make_screen_findings
from mmreason.senses.speech import SpeechSense, join_sentences, make_speech_findings
from mmreason.video import Video
from mmreason.video.labels import Label, Look, Movement, VideoLabels
from mmreason.video.screen_text import ScreenLine, ScreenText
from mmreason.video.speech import Segment, Transcript, Word
from mmreason.video.subtitles import find_subtitles
from mmreason.video.types import Span


def say(text: str, start_s: float = 0.0, each_s: float = 0.4, speaker: str = "") -> Segment:
    words = tuple(
        Word(Span(start_s + i * each_s, start_s + (i + 0.8) * each_s), word, 0.9)
        for i, word in enumerate(text.split())
    )
    return Segment(Span(start_s, words[-1].span.end_s + 1), text, words, speaker)


def test_speech_is_cut_into_sentences_with_the_spans_of_their_words() -> None:
    segments = [say("Dr. Smith speaks. The budget is"), say("two million.", 2.5)]
    lines = list(join_sentences(segments))
    assert [line.text for line in lines] == ["Dr. Smith speaks.", "The budget is two million."]
    assert lines[1].span == Span(3 * 0.4, 2.5 + 1.8 * 0.4)


def test_long_speech_pauses_and_speakers_begin_a_new_record() -> None:
    endless = list(join_sentences([say(" ".join(["word"] * 100))]))
    assert len(endless) == 3 and all(line.span.duration_s <= 15 for line in endless)
    assert len(list(join_sentences([say("one two"), say("three", 9.0)]))) == 2
    pair = list(join_sentences([say("hello there", 0, speaker="A"), say("hello", 1, speaker="B")]))
    assert [line.speaker for line in pair] == ["A", "B"]


def test_what_is_refused_or_repeated_is_counted() -> None:
    said = Transcript(
        segments=(Segment(Span(0, 1), "Yes."), Segment(Span(1, 2), "Yes.")),
        model="tiny",
        notes=("speech that was not understood; nothing was written for 0:05.00-0:09.00",),
    )
    findings = make_speech_findings(said, said.segments)
    assert (findings.repeated, findings.refused, len(findings.records)) == (1, 1, 2)


def test_a_line_that_is_read_twice_at_a_time_is_kept_once() -> None:
    lines = tuple(
        ScreenLine(span=Span(a, b), text=text, box_px=(0, 0, 9, 9), confidence=0.9)
        for a, b, text in ((0, 9, "Agenda"), (1, 9, "AGENDA"), (12, 15, "Agenda"))
    )
    text = ScreenText(span=Span(0, 20), lines=lines, reads=3, looks=20, model="ocr")
    findings = make_screen_findings(text)
    assert [record.span.start_s for record in findings.records] == [0, 12]
    assert findings.repeated == 1 and findings.records[0].box_px == (0, 0, 9, 9)


def test_only_sure_labels_become_records_and_unsure_ones_are_counted() -> None:
    cat, cloud = (
        Label(
            span=Span(0, 4), name=name, parents=parents, confidence=0.9, is_sure=sure, model="net"
        )
        for name, parents, sure in (("tabby", ("cat", "animal"), True), ("bubble", (), False))
    )
    found = VideoLabels(
        labels=(cat, cloud),
        looks=(Look(span=Span(0, 4), colours=(), luma=0.1, brightness="dark"),),
        movements=(
            Movement(span=Span(0, 2), kind="pan left", strength=0.2),
            Movement(span=Span(2, 4), kind="still", strength=0.0),
        ),
        shots=(Span(0, 4),),
        frames_classified=2,
    )
    findings = make_label_findings(found)
    assert [r.text for r in findings.records] == ["tabby, cat, animal", "dark", "camera: pan left"]
    assert findings.refused == 1


@pytest.mark.parametrize(
    ("length_s", "count"), [(0, 1), (20, 1), (449, 1), (451, 2), (36_000, 120)]
)
def test_stretches_tile_the_video(length_s: float, count: int) -> None:
    stretches = plan_stretches(Span(2, 2 + length_s))
    assert len(stretches) == count
    assert (stretches[0].start_s, stretches[-1].end_s) == (2, 2 + length_s)
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(stretches))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of grey without sound, with subtitles beside it."""
    path = tmp_path_factory.mktemp("senses") / "talk.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path.with_suffix(".srt").write_text("1\n00:00:00,500 --> 00:00:01,500\nMind the gap.\n")
    return path


def test_subtitles_are_read_without_a_recogniser_and_stand_there_once(clip: Path) -> None:
    senses = Senses(parts=(SpeechSense(None, "no recogniser"),))
    with Video.open(clip) as video:
        memory = VideoMemory.of_video(video, Store.in_memory())
        subtitles = find_subtitles(clip)
        assert subtitles is not None
        memory.add(make_speech_records(subtitles))
        (step,) = perceive(video, memory, senses)
        assert (step.part, step.records, len(memory)) == ("subtitles", 1, 1)
        clip.with_suffix(".srt").rename(clip.with_suffix(".txt"))
        (step,) = perceive(video, memory, senses)
        assert not step.is_new and not step.error, "what is there needs no recogniser"
        other = VideoMemory(Store.in_memory())
        (step,) = perceive(video, other, senses)
        assert step.error == "no recogniser" and list_sense_runs(other) == ()


def test_what_is_not_installed_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    senses = load_senses(["speech", "labels", "shots"])
    assert senses.names == ("shots", "speech"), "subtitles are read all the same"
    assert "mmreason weights get efficientnet-lite0" in senses.missing["labels"]
    assert "mmreason weights get whisper-tiny.en" in senses.missing["speech"]


@pytest.mark.full
def test_a_narrated_clip_is_heard_read_and_looked_at(real_weights, tmp_path: Path) -> None:
    from mmreason.narration import make_narration, render_narration
    from mmreason.senses.labels import LabelSense
    from mmreason.senses.screen import ScreenSense
    from mmreason.senses.shots import ShotSense
    from mmreason.video.labels import load_classifier
    from mmreason.video.screen_text import load_screen_reader
    from mmreason.video.speech import load_recogniser

    pytest.importorskip("omegaconf", reason='in the clone of mmreason: pip install ".[ocr]"')
    truth = render_narration(make_narration(1), tmp_path / "n.mp4")
    parts = (
        ShotSense(),
        LabelSense(load_classifier(str(real_weights("efficientnet-lite0")))),
        SpeechSense(load_recogniser(str(real_weights("whisper-tiny.en")))),
        ScreenSense(load_screen_reader()),
    )
    with Video.open(tmp_path / "n.mp4") as video:
        memory = VideoMemory.of_video(video, Store.in_memory())
        steps = list(perceive(video, memory, Senses(parts=parts)))
        assert not any(step.error for step in steps)
        assert {run.state for run in list_sense_runs(memory)} == {"done"}
        counts = memory.count_channels()
        assert counts["speech"] >= 4 and counts["screen_text"] >= 4 and counts["shot"] >= 3
        line = max((line.text for line in truth.lines), key=len)
        hits = memory.search(MemoryQuery(line)).hits
        assert hits and hits[0].record.channel == "screen_text"
