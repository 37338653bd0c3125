"""From sound to a transcript with scripted parts: windows, times, gates, what is kept and told."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from mmreason.video import Span
from mmreason.video.audio import AudioSamples
from mmreason.video.speech import (
    ScriptedRecogniser,
    Segment,
    Transcript,
    Word,
    find_transcript,
    open_window_file,
    transcribe,
    write_transcript,
)
from mmreason.video.speech.activity import (
    FRAME,
    RATE_HZ,
    LoudnessDetector,
    Stretch,
    find_speech,
    split_speech,
)
from mmreason.video.speech.gates import judge_segments, order_segments
from mmreason.video.speech.windows import Window, pack_windows
from mmreason.video.subtitles.cues import parse_srt, parse_vtt
from tests.video.audio.sounds import write_clip

LOUD = LoudnessDetector()


def loud_between(*spans: tuple[float, float], length_s: float) -> np.ndarray:
    samples = np.zeros(round(length_s * RATE_HZ), np.float32)
    for start_s, end_s in spans:
        samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = 0.5
    return samples


def blocks_of(samples: np.ndarray, block_s: float, start_s: float = 0.0) -> list[AudioSamples]:
    size = round(block_s * RATE_HZ)
    return [
        AudioSamples(
            samples=samples[first : first + size],
            rate_hz=RATE_HZ,
            start_s=start_s + first / RATE_HZ,
        )
        for first in range(0, len(samples), size)
    ]


def said(text: str, *, confidence: float | None, probability: float = 0.9) -> Segment:
    words = tuple(
        Word(Span(number, number + 1), word, probability)
        for number, word in enumerate(text.split())
    )
    return Segment(Span(0, max(1, len(words))), text, words, confidence=confidence)


@pytest.mark.parametrize("block_s", [0.5, 7.0, 60.0])
def test_speech_is_found_with_room_on_both_sides_whatever_the_blocks(block_s: float) -> None:
    samples = loud_between((3.0, 5.0), (12.0, 14.0), length_s=20.0)
    stretches = list(find_speech(blocks_of(samples, block_s, 100.0), LOUD, 28.0))
    found = [(round(s.span.start_s, 1), round(s.span.end_s, 1)) for s in stretches]
    assert found == [(102.2, 105.8), (111.2, 114.8)]
    first = round((stretches[0].start_s - 100) * RATE_HZ)
    assert np.array_equal(stretches[0].samples, samples[first : first + len(stretches[0].samples)])


@pytest.mark.parametrize("block_s", [10.0, 90.0])
def test_long_speech_is_cut_where_somebody_pauses(block_s: float) -> None:
    samples = loud_between((0.0, 20.0), (20.6, 40.0), (40.5, 70.0), length_s=75.0)
    stretches = list(find_speech(blocks_of(samples, block_s), LOUD, 28.0))
    assert max(s.duration_s for s in stretches) <= 28.0
    assert 20.0 <= stretches[0].span.end_s <= 20.6
    counted = [s.counted for s in stretches]
    # What counts covers all that is said, once.
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(counted))
    assert sum(span.duration_s for span in counted) == pytest.approx(70.8, abs=0.2)


def test_speech_without_a_pause_is_cut_with_an_overlap() -> None:
    stretches = list(find_speech(blocks_of(loud_between((0, 60), length_s=64), 30), LOUD, 28.0))
    first, second = stretches[:2]
    assert second.span.start_s < first.span.end_s
    assert first.counted.end_s == pytest.approx(second.counted.start_s)


def test_memory_does_not_grow_with_silence() -> None:
    scores = np.zeros(100_000, np.float32)
    assert split_speech(scores, 900, is_last=False) == ([], 100_000 - 25)


def stretch(start_s: float, length_s: float) -> Stretch:
    samples = np.full(round(length_s * RATE_HZ), 0.5, np.float32)
    span = Span(start_s, start_s + length_s)
    scores = np.ones(len(samples) // FRAME, np.float32)
    return Stretch(start_s=start_s, samples=samples, scores=scores, counted=span)


def test_short_stretches_share_a_window_and_their_words_go_back_to_their_times() -> None:
    (window,) = pack_windows([stretch(10, 2), stretch(60, 3)], 28.0, joins=True)
    joined = window.join()
    assert len(joined) == 5 * RATE_HZ and joined.start_s == 10
    words = (Word(Span(10.5, 11), "one", 0.9), Word(Span(12.5, 13), "two", 0.9))
    placed = window.place([Segment(Span(10.5, 13), "one two", words)])
    assert [(s.text, s.span) for s in placed] == [
        ("one", Span(10.5, 11)),
        ("two", Span(60.5, 61)),
    ]


def test_of_overlapping_stretches_each_counts_its_own_words() -> None:
    samples = np.zeros(10 * RATE_HZ, np.float32)
    scores = np.ones(312, np.float32)
    first = Stretch(start_s=0, samples=samples, scores=scores, counted=Span(0, 9.4))
    second = Stretch(start_s=8.8, samples=samples, scores=scores, counted=Span(9.4, 18.8))
    word = Word(Span(9.1, 9.3), "once", 0.9)
    segment = Segment(word.span, "once", (word,))
    assert Window((first,)).place([segment]) and not Window((second,)).place([segment])


def test_windows_keep_to_their_length() -> None:
    windows = list(pack_windows([stretch(10.0 * n, 9) for n in range(6)], 28.0, joins=True))
    assert [len(window.stretches) for window in windows] == [3, 3]
    alone = pack_windows([stretch(0, 2), stretch(10, 2)], 28.0, joins=False)
    assert [len(window.stretches) for window in alone] == [1, 1]


def test_speech_of_which_nothing_was_written_is_told() -> None:
    window = Window((stretch(10, 8), stretch(60, 2)))
    heard = Segment(Span(10, 11), "one")
    assert window.list_unheard([heard]) == [Span(11, 18), Span(60, 62)]
    assert window.list_unheard([Segment(Span(10, 16), "one"), Segment(Span(60, 62), "two")]) == []


def verdict(segment: Segment, activity: float = 0.9) -> str:
    return judge_segments([segment], [activity])[0]


def test_what_nobody_said_is_refused() -> None:
    assert verdict(said("The budget is next on the list.", confidence=0.7)) == "kept"
    assert verdict(said("Yes.", confidence=0.55, probability=0.5)) == "kept"
    assert verdict(said("Mm-hmm.", confidence=math.exp(-0.89))) == "no speech"
    assert verdict(said(". . . .", confidence=0.9)) == "no speech"
    foreign = said("See you in my new long film.", confidence=0.3, probability=0.3)
    assert verdict(foreign) == "not understood"
    assert (
        verdict(said("Now they go to that place.", confidence=math.exp(-1.1))) == "not understood"
    )
    assert verdict(said("la " * 30, confidence=0.9)) == "repeats"
    ending = said("Thank you for watching this.", confidence=0.6, probability=0.6)
    assert verdict(ending) == "not understood"


def test_a_part_that_noise_hides_passes_among_what_is_understood() -> None:
    clear = said("Read the story about the man and his wife and write", confidence=0.6)
    hidden = said("down three questions about it", confidence=0.6, probability=0.45)
    assert judge_segments([clear, hidden], [0.9, 0.9]) == ["kept", "kept"]
    assert verdict(hidden) == "not understood"


def test_a_phrase_that_goes_round_does_not_vouch_for_itself() -> None:
    """The model is sure of what it has just written: only the first time counts."""
    phrase = ["I'm", "not", "sure", "if", "it", "is,", "but"]
    words = tuple(Word(Span(n, n + 1), phrase[n % 7], 0.3 if n < 7 else 0.99) for n in range(28))
    segment = Segment(Span(0, 28), " ".join(w.text for w in words), words, confidence=0.8)
    assert verdict(segment) == "not understood"


def test_words_do_not_go_back_in_time() -> None:
    words = (Word(Span(2.0, 2.5), "b"), Word(Span(1.0, 1.2), "a"), Word(Span(3.0, 3.1), "c"))
    late, early = Segment(Span(2, 4), "b a c", words), Segment(Span(0, 1), "first")
    ordered = order_segments([late, early])
    assert [segment.text for segment in ordered] == ["first", "b a c"]
    starts_s = [word.span.start_s for word in ordered[1].words]
    assert starts_s == sorted(starts_s)


@dataclass
class Listener:
    """Writes the same for every window, and counts them."""

    segment: Segment
    fails_after: int = 10**6
    calls: int = 0
    name: str = "listener"
    key: str = "listener {}"
    languages: tuple[str, ...] = ("en",)
    window_s: float = 5.0
    has_word_times: bool = False
    heard: list[AudioSamples] = field(default_factory=list)

    def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
        self.calls += 1
        if self.calls > self.fails_after:
            raise KeyboardInterrupt
        self.heard.append(samples)
        segment = self.segment
        return (Segment(samples.span, segment.text, confidence=segment.confidence, language="en"),)


@pytest.fixture
def by_loudness(monkeypatch: pytest.MonkeyPatch) -> None:
    module = __import__("mmreason.video.speech.transcribe", fromlist=["load_detector"])
    monkeypatch.setattr(module, "load_detector", LoudnessDetector)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    """Twelve seconds of sound with three loud parts."""
    samples = loud_between((1, 2), (6, 7), (11, 11.5), length_s=12.0)
    return write_clip(tmp_path / "talk.mkv", "pcm_s16le", rate_hz=RATE_HZ, samples=samples)


@pytest.mark.usefixtures("by_loudness")
def test_a_transcript_has_the_times_of_what_was_heard_and_progress_is_told(talk: Path) -> None:
    listener = Listener(said("hello to all of you", confidence=0.8))
    steps: list[tuple[float, float | None]] = []
    transcript = transcribe(talk, listener, on_progress=lambda *step: steps.append(step))
    assert [round(s.span.start_s, 1) for s in transcript] == [0.2, 5.2, 10.2]
    assert (transcript.language, transcript.model) == ("en", "listener")
    assert "by loudness alone" in transcript.notes[0]
    assert steps[-1][0] == pytest.approx(12.0, abs=0.1)
    part = transcribe(talk, listener, span=Span(4, 9))
    assert [round(s.span.start_s, 1) for s in part] == [5.2]


@pytest.mark.usefixtures("by_loudness")
def test_work_that_was_interrupted_goes_on_where_it_was(talk: Path, tmp_path: Path) -> None:
    first = Listener(said("hello to all of you", confidence=0.8), fails_after=2)
    with pytest.raises(KeyboardInterrupt):
        transcribe(talk, first, windows=open_window_file(tmp_path / "kept", "abc", first))
    # Half a line, as of a process that was killed while it wrote.
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes() + b'{"key": "11')
    second = Listener(first.segment)
    windows = open_window_file(tmp_path / "kept", "abc", second)
    resumed = transcribe(talk, second, windows=windows)
    assert second.calls == 1 and len(resumed) == 3
    assert resumed == transcribe(talk, Listener(first.segment))


@pytest.mark.usefixtures("by_loudness")
def test_what_is_not_english_is_refused_and_told_with_its_times(talk: Path) -> None:
    foreign = Listener(said("see you in my new film today", confidence=0.1))
    transcript = transcribe(talk, foreign)
    assert not transcript.segments and transcript.text == ""
    (note,) = [note for note in transcript.notes if "not English" in note]
    assert "this model hears English only; nothing was written for 0:00.19-" in note
    many = Listener(foreign.segment, languages=("de", "en"))
    assert "not understood" in transcribe(talk, many).notes[1]


@pytest.mark.usefixtures("by_loudness")
def test_speech_beside_another_language_is_heard_by_itself(talk: Path) -> None:
    """In one window with what is not understood a model loses words that it would hear alone."""

    class Bilingual(Listener):
        def recognise(self, samples: AudioSamples) -> tuple[Segment, ...]:
            (segment,) = super().recognise(samples)
            is_joined = samples.span.duration_s > 3
            unsure = 0.1 if is_joined or samples.start_s < 3 else 0.9
            word = Word(segment.span, segment.text, unsure)
            words = (word,) * 4
            return (replace(segment, words=words, confidence=unsure),)

    listener = Bilingual(said("hello", confidence=0.9), window_s=28.0, has_word_times=True)
    transcript = transcribe(talk, listener)
    assert [round(s.span.start_s, 1) for s in transcript] == [5.2, 10.2]
    assert listener.calls == 4 and "0:00.19-0:02.82" in transcript.notes[1]


def test_a_video_without_sound_or_speech_gives_an_empty_transcript_that_says_so(
    tmp_path: Path,
) -> None:
    known = ScriptedRecogniser(())
    mute = write_clip(tmp_path / "mute.mp4", "aac", tracks=())
    assert transcribe(mute, known).notes[-1] == "has no sound"
    quiet = np.zeros(RATE_HZ * 3, np.float32)
    silent = write_clip(tmp_path / "silent.mkv", "pcm_s16le", rate_hz=RATE_HZ, samples=quiet)
    assert "nobody speaks" in transcribe(silent, known).notes


def test_subtitles_come_before_the_recogniser(talk: Path) -> None:
    assert find_transcript(talk) is None
    srt = talk.with_name("talk.en.srt")
    srt.write_text("1\n00:00:01,000 --> 00:00:02,000\nWritten by hand.\n", encoding="utf-8")
    listener = Listener(said("heard", confidence=0.9))
    transcript = find_transcript(talk, listener)
    assert transcript is not None and listener.calls == 0
    assert (transcript.source, transcript.language) == ("talk.en.srt", "en")
    assert (transcript.text, transcript.model) == ("Written by hand.", "")
    srt.write_text("nothing of use", encoding="utf-8")
    heard = find_transcript(talk, ScriptedRecogniser((Segment(Span(1, 2), "Heard."),)))
    assert heard is not None and heard.source == "speech recognition"
    assert any("talk.en.srt was not read" in note for note in heard.notes)


SAID = Transcript(
    segments=(
        Segment(
            Span(1.0, 4.0),
            "Is 1 < 2 & {x}?",
            (Word(Span(1, 2), "Is", 0.9), Word(Span(2, 4), "1 < 2 & {x}?", 0.8)),
            speaker="Ann <v>",
            confidence=0.5,
        ),
        Segment(Span(4.5, 6.0), "<v Bob>No --> yes.\x1b[2J"),
    ),
    language="en",
    model="tiny",
)


def test_subtitle_files_read_back_as_what_was_said() -> None:
    srt = parse_srt(write_transcript(SAID, "srt")).cues
    assert [cue.start_us for cue in srt] == [1_000_000, 4_500_000]
    text = write_transcript(SAID, "vtt")
    assert "<v Ann &lt;v&gt;>Is 1 &lt; 2 &amp; {x}?" in text and "\x1b" not in text
    assert next(cue.rows for cue in parse_vtt(text).cues) == ("Ann <v>: Is 1 < 2 & {x}?",)
    assert len(parse_vtt(text).cues) == 2


def test_long_segments_become_cues_of_two_rows() -> None:
    words = tuple(Word(Span(n, n + 1), f"word{n}") for n in range(40))
    long = Transcript(segments=(Segment(Span(0, 40), " ".join(w.text for w in words), words),))
    cues = parse_srt(write_transcript(long, "srt")).cues
    assert len(cues) > 2 and max(len(cue.rows[0]) for cue in cues) <= 84
    assert " ".join(cue.rows[0] for cue in cues) == long.text


def test_json_has_whispers_form_and_text_has_times() -> None:
    import json

    value = json.loads(write_transcript(SAID, "json"))
    first = value["segments"][0]
    assert (first["start"], first["speaker"], first["avg_logprob"]) == (1.0, "Ann <v>", -0.6931)
    assert first["words"][0] == {"word": "Is", "start": 1, "end": 2, "probability": 0.9}
    assert write_transcript(SAID, "text").splitlines()[1].startswith("[0:04.50] <v Bob>No")


def test_the_records_read_as_subtitles_do() -> None:
    assert SAID.speakers == ("Ann <v>",) and len(SAID.words) == 2
    assert SAID.during(Span(5, 9)) == SAID.segments[1:]
    with pytest.raises(ValueError, match="ascending"):
        Transcript(segments=(Segment(Span(2, 3), "b"), Segment(Span(1, 2), "a")))
