"""Video-MME (Fu et al. 2024, arXiv 2405.21075) and Video-MME-v2 (2026, arXiv 2604.05015).

Video-MME: a row a question in `videomme/test-00000-of-00001.parquet` of the data set
`lmms-lab/Video-MME`, videos under their YouTube id (`videoID`) and subtitles as `.srt` of the same
name; four lettered options, the answer as a letter. The JSON of `BradyFU/Video-MME` has a row a
video with `questions`.

Video-MME-v2 (`MME-Benchmarks/Video-MME-v2`): `test.parquet`, eight options in one text, four
questions a video that are rated together, subtitles as JSON lines of words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import find_letter, split_options, strip_letters
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions, QuestionGroup
from mmreason.evaluation.public.tables import RowError, SourceRow


def read_videomme(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The 2,700 questions of Video-MME, categories by task, durations short, medium, long."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        name = row.text("videoID")
        options = strip_letters(row.texts("options"))
        return BenchmarkItem(
            id=row.text("question_id"),
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=find_letter(row.text("answer"), options),
            categories=(row.text("task_type"),),
            duration_group=row.text("duration"),
            subtitles=folder.find_subtitles(row, name),
        )

    tables = folder.find_tables("videomme/*.parquet", "*.parquet", "*.json")
    return read_items("videomme", tables, make_item, rows_of=_question_rows)


def _question_rows(row: SourceRow) -> Iterable[SourceRow | RowError]:
    """Rows of the earlier form, a video each, as rows a question."""
    if not row.has("questions"):
        yield row
        return
    of_video = {name: value for name, value in row.values.items() if name != "questions"}
    of_video.setdefault("duration", of_video.get("duration_category"))
    # Before the data set had `videoID`, the address of the video told it, or its number did.
    address = str(of_video.get("url") or "").rpartition("v=")[2].rpartition("/")[2]
    of_video.setdefault("videoID", address or of_video.get("video_id"))
    for inner in row.inner("questions"):
        if isinstance(inner, RowError):
            yield inner
        else:
            values = of_video | dict(inner.values)
            values.setdefault("options", values.get("choices"))
            yield replace(inner, values=values)


def read_videomme_v2(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The 3,200 questions of Video-MME-v2 with their groups."""

    def make_item(row: SourceRow) -> BenchmarkItem:
        name, question_id = row.text("video_id"), row.text("question_id")
        options = _lettered_options(row)
        kind = row.text("group_type")
        if kind not in ("relevance", "logic"):
            raise row.error(f"'group_type' must be relevance or logic, found {kind!r:.40}")
        # The order in the group decides its score, and the id alone tells it.
        position = question_id.rpartition("-")[2]
        if not position.isdigit():
            raise row.error(f"'question_id' must end in -1 to -4, found {question_id!r:.40}")
        level = row.optional_text("level")
        group = QuestionGroup(
            id=name,
            place=int(position),
            kind=kind,
            structure=row.optional_text("group_structure"),
            level="" if level == "None" else level,
        )
        # Heads of the radar: both are kinds of question, and either may be "None" as a text.
        heads = (row.optional_text("second_head"), row.optional_text("third_head"))
        return BenchmarkItem(
            id=question_id,
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=find_letter(row.text("answer"), options),
            categories=tuple(head for head in heads if head and head != "None"),
            subtitles=folder.find_subtitles(row, name),
            group=group,
        )

    tables = folder.find_tables("test.parquet", "*.parquet", "data/*.parquet")
    return read_items("videomme-v2", tables, make_item)


def _lettered_options(row: SourceRow) -> tuple[str, ...]:
    if isinstance(row.field("options"), list):
        return strip_letters(row.texts("options"))
    _, options = split_options(row.text("options"))
    if not options:
        raise row.error("'options' must hold lines that begin with A., B., ...")
    return options
