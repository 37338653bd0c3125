"""LVBench (Wang et al. 2024, arXiv 2406.08035): 1,549 questions about 103 videos of half an hour to
two.

`video_info.meta.jsonl` of `THUDM/LVBench` (now `zai-org/LVBench`) has a line a video: its YouTube
id `key`, `video_info` with `duration_minutes`, and `qa`. A question holds its four options as lines
"(A) ..." and names the kinds of question that it is of and where the answer is (`time_reference`,
"00:15-00:19"). The Parquet of `lmms-lab/LVBench` has a row a question with `options` of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import (
    find_letter,
    name_duration,
    parse_clock_spans,
    split_options,
    strip_letters,
)
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.tables import RowError, SourceRow
from mmreason.video.types import Span


def read_lvbench(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The questions of LVBench; one of several kinds counts for each of them."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        name = row.text("key" if row.has("key") else "video_path")
        question, options = _split_question(row)
        minutes = row.optional_number("duration_minutes")
        # A list, or absent in copies that lost it: the question can be asked all the same.
        kinds = row.values.get("question_type")
        return BenchmarkItem(
            id=row.text("uid"),
            video_name=name,
            video=folder.find_video(row, name),
            question=question,
            options=options,
            answer=find_letter(row.text("answer"), options),
            reference_spans=_reference_spans(row),
            categories=row.texts("question_type") if isinstance(kinds, list) else (),
            duration_group=name_duration(None if minutes is None else 60 * minutes),
            subtitles=folder.find_subtitles(row, name),
        )

    tables = folder.find_tables(
        "video_info.meta.jsonl", "data/video_info.meta.jsonl", "data/*.parquet", "*.parquet"
    )
    return read_items("lvbench", tables, make_item, rows_of=_question_rows)


def _question_rows(row: SourceRow) -> Iterable[SourceRow | RowError]:
    """The questions of a line, each with what is known of its video."""
    of_video = {"key": row.values.get("key")} if row.has("key") else {}
    info = row.values.get("video_info")
    if isinstance(info, dict):
        of_video["duration_minutes"] = info.get("duration_minutes")
    # The Parquet of others has a row a question already.
    if not row.has("qa"):
        yield replace(row, values=dict(row.values) | of_video)
        return
    for inner in row.inner("qa"):
        if isinstance(inner, RowError):
            yield inner
        else:
            yield replace(inner, values=dict(inner.values) | of_video)


def _split_question(row: SourceRow) -> tuple[str, tuple[str, ...]]:
    if row.has("options"):
        return row.text("question"), strip_letters(row.texts("options"))
    question, options = split_options(row.text("question"))
    if not options:
        raise row.error("'question' must hold its options as lines (A), (B), ...")
    return question, options


def _reference_spans(row: SourceRow) -> tuple[Span, ...]:
    """Empty where it is written in another way: only evidence is scored by it, no answer."""
    try:
        return parse_clock_spans(row.optional_text("time_reference"))
    except ValueError:
        return ()
