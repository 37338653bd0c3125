"""NExT-QA (Xiao et al. 2021): causal, temporal and descriptive questions about short videos.

`val.csv` and `test.csv` of `doc-doc/NExT-QA` (`dataset/nextqa`) have `video`, `question`, `a0` to
`a4`, the `answer` as a number, `qid` (unique within a video only) and a `type` such as CW; the
Parquet of `lmms-lab/NExTQA` has the same columns. Those of the open questions have the answer in
words and no options. Times are those of NExT-GQA (Xiao et al. 2024): `gsub_val.json` beside the
CSV, where it is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mmreason.evaluation.public.adapter import BenchmarkFolder, read_items
from mmreason.evaluation.public.fields import find_number, find_words
from mmreason.evaluation.public.items import BenchmarkItem, BenchmarkQuestions
from mmreason.evaluation.public.tables import MOST_BYTES, SourceRow
from mmreason.types import UsageError
from mmreason.video.json_input import JsonInputError, read_json
from mmreason.video.types import Span

_KINDS = {"C": "causal", "T": "temporal", "D": "descriptive"}


def read_nextqa(folder: BenchmarkFolder) -> BenchmarkQuestions:
    """The questions of one split; the folder holds one, or --questions chooses."""
    # val.csv and test.csv: where both are there, the caller chooses.
    split = "[vt][ae][ls]*.csv"
    tables = folder.find_tables(split, f"dataset/nextqa/{split}", "MC/*.parquet", "OE/*.parquet")
    spans_by_video = _read_spans(tables[0])

    def make_item(row: SourceRow) -> BenchmarkItem:
        name, qid = row.text("video"), row.text("qid")
        options = tuple(row.text(f"a{number}") for number in range(5)) if row.has("a0") else ()
        answer = row.text("answer")
        return BenchmarkItem(
            id=f"{name}-{qid}",
            video_name=name,
            video=folder.find_video(row, name),
            question=row.text("question"),
            options=options,
            answer=_find_answer(answer, options) if options else None,
            answer_text="" if options else answer,
            reference_spans=_spans_of(spans_by_video, name, qid),
            categories=(_KINDS.get(row.text("type")[:1], row.text("type")),),
        )

    return read_items("nextqa", tables, make_item)


def _find_answer(answer: str, options: tuple[str, ...]) -> int:
    """NExT-GQA gives the words in place of the number."""
    return find_number(answer, options) if answer.isdigit() else find_words(answer, options)


def _read_spans(table: Path) -> dict[str, Any]:
    path = table.with_name(f"gsub_{table.stem}.json")
    if not path.is_file():
        return {}
    try:
        spans = read_json(path, most_bytes=MOST_BYTES)
    except (JsonInputError, OSError) as error:
        raise UsageError(f"{path}: {error}") from error
    if not isinstance(spans, dict):
        raise UsageError(f"{path}: expected an object of times by video")
    return spans


def _spans_of(spans_by_video: dict[str, Any], video: str, qid: str) -> tuple[Span, ...]:
    """Empty where the times are not told, or in another form."""
    try:
        return tuple(Span(*map(float, pair)) for pair in spans_by_video[video]["location"][qid])
    except (KeyError, TypeError, ValueError):
        return ()
