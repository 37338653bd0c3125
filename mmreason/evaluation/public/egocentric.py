"""Questions about what a wearer of a camera sees: EgoSchema and HourVideo, both on videos of Ego4D.

EgoSchema (Mangalam et al. 2023, arXiv 2308.09126): `questions.json` of `egoschema/EgoSchema` with
`q_uid`, which names the video too, and "option 0" to "option 4"; the answers of 500 of its 5,031
questions are numbers in `subset_answers.json`, the others are not published.

HourVideo (Chandrasegaran et al. 2024, arXiv 2411.04998): JSON by video with `video_metadata` and
`benchmark_dataset`, whose rows have `answer_1` to `answer_5` and, in the dev set, a
`correct_answer_label`. Left out, with a line each: options that are pictures, and `predictive`
questions, which are to be asked of a video that ends where they are about to happen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import (
    find_letter,
    find_number,
    name_duration,
    parse_clock_spans,
    strip_letters,
)
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.tables import RowError, SourceRow
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.types import Span

_ANSWERS_FILE = "subset_answers.json"
_PICTURE_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def read_egoschema(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """All questions, those without a published answer too: they are asked, and not scored."""
    answers = _read_subset_answers(folder.path)

    def make_item(row: SourceRow) -> BenchmarkItem:
        # The names of the Parquet of `lmms-lab/egoschema` behind those of the authors.
        name = row.text("q_uid" if row.has("q_uid") else "video_idx")
        if row.has("option"):
            options = strip_letters(row.texts("option"))
        else:
            options = tuple(row.text(f"option {number}") for number in range(5))
        # The mirror has answers in its rows, the authors in a file of their own.
        answer = answers.get(name, row.values.get("answer"))
        return BenchmarkItem(
            id=name,
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=None if answer in (None, "") else find_number(answer, options),
        )

    tables = folder.find_tables("questions.json", "Subset/*.parquet", "GENERATION/*.parquet")
    return read_items("egoschema", tables, make_item)


def _read_subset_answers(folder: Path) -> dict[str, object]:
    path = folder / _ANSWERS_FILE
    if not path.exists():
        return {}
    try:
        answers = read_json(path)
    except (JsonInputError, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(answers, dict):
        raise UsageError(f"{path}: expected an object of answers by question")
    return answers


def read_hourvideo(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The questions that can be asked as text of a whole video; the others are in `problems`."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        name, task = row.text("video_uid"), row.text("task")
        options = tuple(row.text(f"answer_{number}") for number in range(1, 6))
        # Told, not dropped: who compares numbers must know what was left out.
        if all(option.lower().endswith(_PICTURE_ENDINGS) for option in options):
            raise row.error(f"{row.text('qid')} ({task}) has pictures as options; it is not asked")
        if task == "reasoning/predictive":
            raise row.error(f"{row.text('qid')} ({task}) needs a cut video; it is not asked")
        label = row.optional_text("correct_answer_label")
        return BenchmarkItem(
            id=row.text("qid"),
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=find_letter(label, options) if label else None,
            reference_spans=_reference_spans(row),
            # The authors rate the kinds of summaries together.
            categories=("summarization" if task.startswith("summarization/") else task,),
            duration_group=name_duration(row.optional_number("duration_in_seconds")),
        )

    tables = folder.find_tables(
        "v1.0_release/json/dev*.json", "json/dev*.json", "dev*.json", "*annotations*.json"
    )
    return read_items("hourvideo", tables, make_item, rows_of=_rows_of_video)


def _rows_of_video(row: SourceRow) -> Iterable[SourceRow | RowError]:
    metadata = row.values.get("video_metadata")
    of_video = {"video_uid": row.values.get("key")} | (
        metadata if isinstance(metadata, dict) else {}
    )
    # The name of the video stands above its rows, and in none of them.
    for inner in row.inner("benchmark_dataset"):
        if isinstance(inner, RowError):
            yield inner
        else:
            yield replace(inner, values=of_video | dict(inner.values))


def _reference_spans(row: SourceRow) -> tuple[Span, ...]:
    """Empty where they are not told, or in another form: they score evidence, no answers."""
    try:
        return parse_clock_spans(row.optional_text("relevant_timestamps"))
    except ValueError:
        return ()
