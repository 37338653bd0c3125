"""MLVU (Zhou et al. 2024, arXiv 2406.04264): nine tasks over videos of three minutes to two hours.

The dev set (`MLVU/MVLU`) is a JSON file a task, `json/1_plotQA.json` to `json/9_summary.json`, with
its videos in `video/1_plotQA` and so on; `candidates` and the answer in words. Tasks 8 and 9 are
open, and are scored with a judge alone. Test files (`MLVU/MLVU_Test`) have six candidates and an
answer where somebody added one.
"""

from __future__ import annotations

from pathlib import PurePath

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import find_letter, find_words, name_duration, split_options
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.tables import SourceRow


def read_mlvu(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The questions of all task files, categories by task."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        # The names of the mirror on Hugging Face, which holds one table.
        name = row.text("video" if row.has("video") else "video_name")
        task = row.text("question_type" if row.has("question_type") else "task_type")
        options = row.texts("candidates") if row.has("candidates") else ()
        answer = row.optional_text("answer")
        # `video/1_plotQA/a.mp4` and `video/3_ego/a.mp4` are two videos.
        video_folder = row.path.stem if row.path.suffix == ".json" else ""
        return BenchmarkItem(
            id=row.text("question_id") if row.has("question_id") else _make_id(row),
            video_name=f"{video_folder}/{name}" if video_folder else name,
            video=folder.find_video(row, name, video_folder or PurePath(name).parent.name),
            # The mirror repeats the options below the question.
            question=split_options(row.text("question"))[0] if options else row.text("question"),
            options=options,
            answer=_find_answer(answer, options),
            answer_text="" if options else answer,
            categories=(task,),
            duration_group=name_duration(row.optional_number("duration")),
        )

    tables = folder.find_tables(
        "json/[0-9]*_*.json",
        "MLVU/json/[0-9]*_*.json",
        "[0-9]*_*.json",
        "data/*.parquet",
        "*.parquet",
        "test*.json",
        several=True,
    )
    return read_items("mlvu", tables, make_item)


def _make_id(row: SourceRow) -> str:
    """The dev set names no questions: a task and a place in its file do."""
    return f"{row.path.stem}-{row.number}"


def _find_answer(answer: str, options: tuple[str, ...]) -> int | None:
    if not answer or not options:
        return None
    # Words first, as the authors write it: a candidate may be a single letter.
    try:
        return find_words(answer, options)
    except ValueError:
        return find_letter(answer, options)  # as the mirror has it
