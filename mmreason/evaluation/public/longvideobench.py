"""LongVideoBench (Wu et al. 2024, arXiv 2407.15754): 1,337 questions with answers (val), 5,341
without (test), about videos of 8 seconds to an hour, with subtitles.

`lvb_val.json` and `lvb_test_wo_gt.json` of `longvideobench/LongVideoBench` are lists with
`candidates` and `correct_choice`, a number from 0; the Parquet beside them has `option0` to
`option4` ("N/A" where there is none). Subtitles are JSON on the clock of the uncut video:
`starting_timestamp_for_subtitles` is where the video that is published begins on it.
"""

from __future__ import annotations

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import find_number
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.tables import SourceRow

_NO_OPTION = "N/A"
_HIDDEN = -1
"""In place of the right option, in some copies of the test set."""


def read_longvideobench(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The questions of one split, val where the folder has it."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        name = row.text("video_path")
        options = _options_of(row)
        choice = row.values.get("correct_choice")
        group_s = row.optional_number("duration_group")
        subtitles = row.optional_text("subtitle_path")
        return BenchmarkItem(
            id=row.text("id"),
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=None if choice in (None, _HIDDEN) else find_number(choice, options),
            categories=(row.text("question_category"),),
            duration_group="" if group_s is None else f"up to {group_s:g} s",
            subtitles=folder.find_subtitles(row, subtitles) if subtitles else None,
            subtitle_start_s=row.optional_number("starting_timestamp_for_subtitles") or 0.0,
        )

    # The test set last: its answers are not published, and nothing of it can be scored.
    tables = folder.find_tables(
        "lvb_val.json", "validation-*.parquet", "data/validation-*.parquet", "lvb_test*.json"
    )
    return read_items("longvideobench", tables, make_item)


def _options_of(row: SourceRow) -> tuple[str, ...]:
    if row.has("candidates"):
        return row.texts("candidates")
    # A table has as many columns in each row; those without an option say so.
    texts = [row.optional_text(f"option{number}") for number in range(5)]
    if not texts[0]:
        raise row.error("lacks 'candidates' and 'option0'")
    return tuple(text for text in texts if text and text != _NO_OPTION)
