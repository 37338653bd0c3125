"""How often the senses answer right with the right evidence, answer wrong, or abstain.

    python benchmarks/senses_answers.py --videos 100 --folder build/senses_answers
    python benchmarks/senses_answers.py --absent CLIP... --folder build/senses_answers

The first makes narrations (`mmreason.narration`, seeds from 5000, on which nothing was tuned: rules
and thresholds were chosen on seeds below 1000) and asks all that is known of them: what is said,
written and shown, when, how often, whether; in other words than the video has, also with options;
and what it does not tell. The second asks about things that are not there in real clips (files, or
folders of pictures, of which each becomes a clip of 3 s). Videos and what the senses found are kept
in the folder. With --reader MODEL a text model chooses among the passages. Prints Markdown rows and
writes `benchmarks/results/senses/answers.md` (`answers_absent.md`; with a reader
`answers_reader.md`).
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from mmreason.agent.record_passages import plain_words
from mmreason.evaluation.public.intervals import ClusteredShare
from mmreason.narration import (
    Narration,
    NarrationTruth,
    describe_narration,
    make_narration,
    make_questions,
    render_narration,
    speak_narration,
)
from mmreason.reasoner import Reasoner
from mmreason.types import Answer
from mmreason.video import Video
from mmreason.video.types import Span

RESULTS = Path(__file__).parent / "results" / "senses"
FIRST_SEED = 5_000
PICTURE_S = 3.0
PICTURE_HZ = 10
ABSENT_QUESTIONS = (
    "What does the speaker say about the budget?",
    "Who is the new director of the museum?",
    "How many euros does the bridge cost?",
    "When does the train to Paris leave?",
    "What is written on the red sign?",
    "What is the title of the slide?",
    "Is there a zebra in the video?",
    "When does the submarine appear?",
    "Where is the piano?",
    "Is there a penguin?",
    "Which colour is the ambulance?",
    "Does the narrator mention dinosaurs?",
    "How many times is the word harvest said?",
    "Why was the concert cancelled?",
    "What animal is playing the violin?",
    "What time is shown on the clock tower?",
    "Who won the chess tournament?",
    "When do they talk about vaccines?",
    "What does the poster announce?",
    "Is there a lobster on the table?",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedQuestion:
    """A question, and how its answer is judged."""

    kind: str
    text: str
    accepted: tuple[str, ...] = ()
    """Texts of which a right answer holds one; none where the video does not tell."""
    spans: tuple[Span, ...] = ()
    """Where right evidence lies."""
    options: tuple[str, ...] = ()
    is_moment: bool = False
    """Whether any answer with right evidence is right: it tells the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one question."""

    video: str
    kind: str
    verdict: str
    """"right", "right without evidence", "wrong" or "abstained"."""
    text: str
    answer: str
    reader: str = ""
    """What became of the words of the reader where it was asked."""


def ask_about(narration: Narration, truth: NarrationTruth) -> list[AskedQuestion]:
    """All questions about one narration: planted ones, and those that follow from its truth."""
    rng = random.Random(f"answers {narration.seed}")
    questions: list[AskedQuestion] = []
    for planted in make_questions(narration, truth):
        if planted.kind != "answerable":
            questions.append(AskedQuestion(kind="absent", text=planted.text))
            continue
        assert planted.channel is not None and planted.answer is not None
        question = AskedQuestion(
            kind={"speech": "speech", "screen_text": "screen", "label": "label"}[planted.channel],
            text=planted.text,
            accepted=(planted.answer, *planted.accepted),
            spans=planted.spans,
            is_moment=planted.channel == "label",
        )
        questions.append(question)
        if planted.options:
            questions.append(
                AskedQuestion(
                    kind="options",
                    text=planted.text,
                    accepted=question.accepted,
                    spans=planted.spans,
                    options=planted.options,
                )
            )
    return questions + _ask_of_truth(narration, truth, rng)


def _ask_of_truth(
    narration: Narration, truth: NarrationTruth, rng: random.Random
) -> list[AskedQuestion]:
    """When, how often and whether something is said or shown."""
    questions: list[AskedQuestion] = []
    spoken = [fact for fact in narration.facts if fact.channel == "speech"]
    for fact in rng.sample(spoken, min(2, len(spoken))):
        bare = fact.subject.removeprefix("the ")
        said = tuple(s.span for s in truth.sentences if bare in s.text.lower())
        when = rng.choice(("When do they talk about {}?", "At what time is {} mentioned?"))
        questions.append(
            AskedQuestion(kind="when", text=when.format(fact.subject), spans=said, is_moment=True)
        )
        questions.append(
            AskedQuestion(
                kind="count",
                text=f"How many times does the speaker mention {fact.subject}?",
                accepted=(str(len(said)),),
                spans=said,
            )
        )
        questions.append(
            AskedQuestion(
                kind="yes or no",
                text=f"Does the speaker mention {fact.subject}?",
                accepted=("yes",),
                spans=said,
            )
        )
    for label in truth.labels[:1]:
        questions.append(
            AskedQuestion(
                kind="yes or no",
                text=f"Is there a {label.name} in the video?",
                accepted=("yes",),
                spans=(label.span,),
            )
        )
    return questions


def judge(question: AskedQuestion, answer: Answer) -> str:
    """See `Outcome.verdict`. Evidence is right where the first one meets a right span."""
    if not answer.answered:
        return "abstained"
    has_evidence = any(answer.evidence[0].span.overlap_s(span) > 0 for span in question.spans)
    written = f" {_plain(answer.text)} "
    is_right = (
        has_evidence
        if question.is_moment
        else any(f" {_plain(text)} " in written for text in question.accepted)
    )
    if not is_right:
        return "wrong"
    return "right" if has_evidence else "right without evidence"


def _plain(text: str) -> str:
    return " ".join(plain_words(text))


def read_verdict(answer: Answer) -> str:
    """What became of the last reply of the reader; empty where it was not asked."""
    told = [s.observation.text for s in answer.trace if s.call.name == "read_passages"]
    return re.split(r",| by ", told[-1])[0] if told else ""


def run_narrations(reasoner: Reasoner, seeds: Sequence[int], folder: Path) -> Iterator[Outcome]:
    for seed in seeds:
        narration = make_narration(seed)
        path = folder / f"talk-{seed}.mp4"
        # Drawing takes longer than all else and is done once; speaking gives the truth anew.
        track = speak_narration(narration)
        truth = describe_narration(narration, track)
        if not path.is_file():
            render_narration(narration, path, track=track)
        with Video.open(path) as video:
            for question in ask_about(narration, truth):
                answer = reasoner.ask(video, question.text, options=question.options or None)
                yield Outcome(
                    video=path.stem,
                    kind=question.kind,
                    verdict=judge(question, answer),
                    text=question.text,
                    answer=answer.text,
                    reader=read_verdict(answer),
                )


def run_absent(reasoner: Reasoner, clips: Sequence[Path]) -> Iterator[Outcome]:
    """100 questions, dealt to the clips in turn."""
    rounds = max(1, 100 // len(clips))
    for number, clip in enumerate(clips):
        with Video.open(clip) as video:
            for position in range(rounds):
                text = ABSENT_QUESTIONS[(number * rounds + position) % len(ABSENT_QUESTIONS)]
                answer = reasoner.ask(video, text)
                verdict = "wrong" if answer.answered else "abstained"
                yield Outcome(
                    video=clip.stem,
                    kind="absent",
                    verdict=verdict,
                    text=text,
                    answer=answer.text,
                    reader=read_verdict(answer),
                )


def make_picture_clip(picture: Path, folder: Path) -> Path:
    """A picture as a clip of `PICTURE_S` seconds."""
    path = folder / f"{picture.stem}.mp4"
    if path.is_file():
        return path
    image = Image.open(picture, formats=("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")).convert(
        "RGB"
    )
    image.thumbnail((640, 640))
    pixels = np.asarray(image)[: image.height // 2 * 2, : image.width // 2 * 2]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(PICTURE_HZ))
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        for number in range(round(PICTURE_S * PICTURE_HZ)):
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def list_clips(paths: Sequence[Path], folder: Path) -> list[Path]:
    clips: list[Path] = []
    for path in paths:
        if path.is_dir():
            pictures = sorted(p for p in path.iterdir() if p.suffix in (".png", ".jpg", ".jpeg"))
            clips += [make_picture_clip(picture, folder) for picture in pictures]
        else:
            clips.append(path)
    return clips


def format_table(outcomes: Sequence[Outcome]) -> str:
    """One row a kind, shares with 95 % intervals by video."""
    kinds = [*dict.fromkeys(outcome.kind for outcome in outcomes), "all with an answer"]
    rows = [
        "| questions | n | right with right evidence | right, other evidence | wrong | abstained |",
        "|---|---|---|---|---|---|",
    ]
    for kind in kinds:
        chosen = [
            o for o in outcomes if o.kind == kind or (kind == kinds[-1] and o.kind != "absent")
        ]
        if not chosen:
            continue
        cells = [
            _format_share(chosen, verdict)
            for verdict in ("right", "right without evidence", "wrong", "abstained")
        ]
        rows.append(f"| {kind} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _format_share(outcomes: Sequence[Outcome], verdict: str) -> str:
    share = ClusteredShare.of([(o.video, o.verdict == verdict) for o in outcomes])
    low, high = share.interval
    return f"{share.value:.1%} ({low:.1%} to {high:.1%})".replace("%", " %")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--folder", type=Path, default=Path("build/senses_answers"))
    parser.add_argument("--absent", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("--reader", help="a text model that chooses among the passages")
    parser.add_argument("--show", action="store_true", help="print what was not right")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    started_s = time.process_time()
    reasoner = Reasoner.load("senses", store=folder / "store.sqlite3", reader=arguments.reader)
    if arguments.absent:
        clips = list_clips(arguments.absent, folder)
        outcomes = list(run_absent(reasoner, clips))
    else:
        seeds = range(arguments.first_seed, arguments.first_seed + arguments.videos)
        outcomes = list(run_narrations(reasoner, seeds, folder))
    for outcome in outcomes:
        is_fine = outcome.verdict == ("abstained" if outcome.kind == "absent" else "right")
        if arguments.show and not is_fine:
            print(f"{outcome.verdict}: {outcome.video} {outcome.text} -> {outcome.answer}")
    minutes = (time.process_time() - started_s) / 60
    videos = len({outcome.video for outcome in outcomes})
    verdicts = Counter(outcome.reader for outcome in outcomes if outcome.reader)
    told = ", ".join(f"{verdict} {count}" for verdict, count in verdicts.most_common())
    reader = f", reader {arguments.reader} ({told or 'not asked'})" if arguments.reader else ""
    table = f"{format_table(outcomes)}\n\n{videos} videos{reader}, {minutes:.1f} CPU minutes.\n"
    print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    name = "answers_absent" if arguments.absent else "answers"
    name += "_reader" if arguments.reader else ""
    (RESULTS / f"{name}.md").write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
