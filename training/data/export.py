"""Problems as data sets of other libraries: TRL, verl, EasyR1 and ms-swift.

| to | file | prompt | video or image | right answer |
| trl | JSONL | prompt (messages) | video (a path, for an environment) | solution |
| verl | Parquet | prompt (messages) | videos / images | reward_model.ground_truth |
| easyr1 | Parquet | problem (text) | videos / images | answer |
| ms-swift | JSONL | messages | videos / images | solution |

The right answer is a text (`ground_truth`); everything known of it goes along as the JSON text
`truth` (verl: `extra_info.truth`), a line of `mmreason.training.data.problem_file`.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from mmreason.json_lines import encode_json_line
from mmreason.training.data.problem_file import LETTERS, to_row
from mmreason.training.rewards import Truth
from mmreason.training.rollouts.types import Problem
from mmreason.types import UsageError
from mmreason.video.files import write_atomic

Target = Literal["trl", "verl", "easyr1", "ms-swift"]
Paths = Literal["absolute", "relative"]
"""How videos are named: in full, or from the folder of the file that is written."""

IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
"""Endings of paths that are shown as images."""
MEDIA_PLACEHOLDERS = ("<image>", "<video>", "<audio>")
"""What stands for media in a prompt, in all but TRL."""


def export_problems(
    problems: Sequence[Problem], to: Target, out: str | Path, *, paths: Paths = "absolute"
) -> Path:
    """Write `problems` for a library; returns the path. Atomic.

    Raises UsageError for an ending that the library would not read, for a problem that the format
    cannot hold (a stretch of a video in EasyR1 and ms-swift, images beside videos in EasyR1, a
    question that holds a placeholder, a path that is not UTF-8), and without pyarrow where Parquet
    is written.
    """
    out = Path(out)
    if to not in WRITERS:
        raise UsageError(f"unknown format {to!r}; known: {', '.join(WRITERS)}")
    if not problems:
        raise UsageError("there is no problem to export")
    ending, rows_of = WRITERS[to]
    if out.suffix != ending:
        raise UsageError(f"{out}: a file for {to} must end in {ending}")
    # Relative paths are meant from the folder of the file that is written.
    rows = rows_of([_with_video_path(problem, paths, out.parent) for problem in problems])
    if ending == ".jsonl":
        return write_atomic(out, b"".join(map(encode_json_line, rows)))
    return write_atomic(out, _to_parquet(rows))


def ground_truth(truth: Truth) -> str:
    """The right answer as one text: the option's letter, else the number, the words, the spans or
    the boxes (JSON), whichever is known first; empty where nothing is.

    Example:
        >>> ground_truth(Truth(options=("red", "blue"), choice=1)), ground_truth(Truth(number=2.0))
        ('B', '2')
    """
    # The order of `rewards.correct`: what is asked for first is what a reward judges first.
    if truth.choice is not None:
        return LETTERS[truth.choice] if truth.choice < len(LETTERS) else str(truth.choice)
    if truth.number is not None:
        # 2.0 as "2": answers are compared as texts there.
        return f"{truth.number:.15g}"
    if truth.answer is not None:
        return truth.answer
    if truth.spans is not None:
        return json.dumps([[span.start_s, span.end_s] for span in truth.spans])
    if truth.boxes is not None:
        return json.dumps([list(box.xyxy) for box in truth.boxes])
    return ""


def question_text(problem: Problem) -> str:
    """The question, and its options behind letters, one a line.

    Example:
        >>> truth = Truth(options=("red", "blue"), choice=1)
        >>> print(question_text(Problem(id="1", question="Which colour?", truth=truth)))
        Which colour?
        A. red
        B. blue
    """
    options = problem.truth.options
    lettered = [f"{LETTERS[i]}. {option}" for i, option in enumerate(options[: len(LETTERS)])]
    return "\n".join([problem.question, *lettered])


def trl_rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Rows for `trl.GRPOTrainer`; `video` is for the environment, TRL shows no video itself."""
    return [
        {
            "id": problem.id,
            "prompt": [{"role": "user", "content": question_text(problem)}],
            "video": problem.video,
            "solution": ground_truth(problem.truth),
            "truth": _truth_json(problem),
        }
        for problem in problems
    ]


def verl_rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Rows for verl's `RLHFDataset`. A stretch goes as `video_start` and `video_end`, which
    qwen-vl-utils reads."""
    rows = []
    for index, problem in enumerate(problems):
        content, images, videos = _prompt_and_media(problem)
        rows.append(
            {
                "data_source": "mmreason",
                "prompt": [{"role": "user", "content": content}],
                "images": [{"image": path} for path in images],
                "videos": [_video_row(problem, path) for path in videos],
                "ability": problem.kind or "video",
                "reward_model": {"style": "rule", "ground_truth": ground_truth(problem.truth)},
                "extra_info": {
                    "index": index,
                    "id": problem.id,
                    "question": problem.question,
                    "truth": _truth_json(problem),
                },
            }
        )
    return _without_empty(rows, ("images", "videos"))


def easyr1_rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Rows for EasyR1 (`data.prompt_key=problem`, `data.answer_key=answer`)."""
    rows = []
    for problem in problems:
        _refuse_span(problem, "EasyR1")
        # Refused before anything is written: half a file would be trained on.
        content, images, videos = _prompt_and_media(problem)
        rows.append(
            {
                "problem": content,
                "answer": ground_truth(problem.truth),
                "images": images,
                "videos": videos,
                "id": problem.id,
                "truth": _truth_json(problem),
            }
        )
    # One of the two columns decides for the whole file.
    if any(row["images"] for row in rows) and any(row["videos"] for row in rows):
        raise UsageError(
            "EasyR1 reads images or videos from one file, never both: export them to two files"
        )
    return _without_empty(rows, ("images", "videos"))


def swift_rows(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Rows for GRPO of ms-swift; reward plugins get `solution`, `truth` and `id`."""
    rows = []
    for problem in problems:
        _refuse_span(problem, "ms-swift")
        content, images, videos = _prompt_and_media(problem)
        row: dict[str, Any] = {"messages": [{"role": "user", "content": content}]}
        row |= {name: v for name, v in (("images", images), ("videos", videos)) if v}
        row |= {"solution": ground_truth(problem.truth), "id": problem.id}
        rows.append(row | {"truth": _truth_json(problem)})
    return rows


WRITERS: dict[str, tuple[str, Callable[[Sequence[Problem]], list[dict[str, Any]]]]] = {
    "trl": (".jsonl", trl_rows),
    "verl": (".parquet", verl_rows),
    "easyr1": (".parquet", easyr1_rows),
    "ms-swift": (".jsonl", swift_rows),
}
"""The ending of the file and its rows, by format."""


def _with_video_path(problem: Problem, paths: Paths, folder: Path) -> Problem:
    """The problem with its video's path as asked for."""
    if paths not in ("absolute", "relative"):
        raise UsageError(f"paths must be 'absolute' or 'relative', got {paths!r}")
    if problem.video is None:
        return problem
    video = os.path.abspath(problem.video)  # noqa: PTH100 (a link stays one)
    return replace(problem, video=os.path.relpath(video, folder) if paths == "relative" else video)


def _prompt_and_media(problem: Problem) -> tuple[str, list[str], list[str]]:
    """(the prompt with its placeholder, paths of images, paths of videos)."""
    # A library counts placeholders and media, and would give the wrong frames or none.
    text = question_text(problem)
    placeholder = next((token for token in MEDIA_PLACEHOLDERS if token in text), None)
    if placeholder is not None:
        raise UsageError(
            f"problem {problem.id!r}: its text holds {placeholder}, which stands for media there"
        )
    if problem.video is None:
        return text, [], []
    if problem.video.lower().endswith(IMAGES):
        return f"<image>{text}", [problem.video], []
    return f"<video>{text}", [], [problem.video]


def _video_row(problem: Problem, path: str) -> dict[str, Any]:
    span = problem.span
    return {
        "video": path,
        # Both columns in every row: Parquet has one schema for all of them.
        "video_start": None if span is None else span.start_s,
        "video_end": None if span is None else span.end_s,
    }


def _refuse_span(problem: Problem, library: str) -> None:
    if problem.span is not None:
        raise UsageError(
            f"problem {problem.id!r} shows {problem.span} of its video only, which {library} "
            "cannot: cut the video, or leave the span out"
        )


def _truth_json(problem: Problem) -> str:
    """Everything known of the problem; it holds all texts of a row, its video's path included."""
    try:
        return encode_json_line(to_row(problem)).decode().rstrip("\n")
    except ValueError as error:
        raise UsageError(f"the problem {problem.id!r:.60} {error}") from error


def _without_empty(rows: list[dict[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """Columns that are empty in every row go: a reader may take their presence for a sign."""
    empty = [name for name in names if not any(row[name] for row in rows)]
    return [{name: v for name, v in row.items() if name not in empty} for row in rows]


def _to_parquet(rows: list[dict[str, Any]]) -> bytes:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which datasets brings; in the clone of mmreason: "
            'pip install ".[train]"'
        ) from error
    file = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    return file.getvalue()
