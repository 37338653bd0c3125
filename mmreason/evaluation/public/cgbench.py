"""CG-Bench (Chen et al. 2024, arXiv 2412.12075): 12,129 questions with the stretches that hold the
clues.

`cgbench_mini.json` (3,000 questions) and `cgbench.json` of `CG-Bench/CG-Bench`: `choices`, the
letter in `right_answer`, `clue_intervals` in seconds, `domain` and `sub_category`. Videos are
`cg_videos_720p/UID.mp4`, subtitles `cg_subtitles/UID.srt`.
"""

from __future__ import annotations

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import find_letter, name_duration
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.tables import SourceRow
from mmreason.video.types import Span


def read_cgbench(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The questions of the mini set where the folder has it, else of the whole."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        name = row.text("video_uid")
        options = row.texts("choices")
        return BenchmarkItem(
            id=row.text("qid"),
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=find_letter(row.text("right_answer"), options),
            reference_spans=_clue_spans(row),
            categories=(row.text("domain"),),
            duration_group=name_duration(row.optional_number("duration")),
            subtitles=folder.find_subtitles(row, name),
        )

    # Who has both has the mini set for a reason: it is what its authors report for dear models.
    tables = folder.find_tables("cgbench_mini.json", "cgbench.json", "*.parquet")
    return read_items("cgbench", tables, make_item)


def _clue_spans(row: SourceRow) -> tuple[Span, ...]:
    intervals = row.values.get("clue_intervals") or []
    try:
        return tuple(Span(float(start_s), float(end_s)) for start_s, end_s in intervals)
    except (TypeError, ValueError) as error:
        raise row.error(f"'clue_intervals' must be pairs of seconds ({error})") from error
