"""Tables with columns of common names: CSV, TSV, and folders of Hugging Face `datasets`.

    video,question,A,B,answer
    a.mp4,Which colour?,red,blue,B

Which names are known stands in the tuples below and in docs/own_data.md; every other column is a
free one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.training.data.dialects.media_values import read_media
from mmreason.training.data.dialects.own_problems import answer_text, kind_of_path, messages_of
from mmreason.training.data.dialects.placeholders import has_placeholder, place_media
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.dialects.rows import RowContext, has_value, make_sample, read_text
from mmreason.training.data.dialects.truths import read_truth
from mmreason.training.data.problem_file import LETTERS
from mmreason.training.data.sample import MediaKind, MediaRef, Sample
from mmreason.training.rewards import Truth
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.types import Span

QUESTIONS = ("question", "prompt", "query", "instruction", "problem", "input")
ANSWERS = ("answer", "response", "output", "label", "caption", "text", "completion", "solution")
FILES = {
    "video": "video",
    "video_path": "video",
    "videos": "video",
    "image": "image",
    "image_path": "image",
    "images": "image",
    "audio": "audio",
    "audio_path": "audio",
}
"""Columns of files, and of which kind they are."""
ANY_FILE = ("file_name", "path", "file")
"""Columns of files whose kind their ending says."""
OPTIONS = ("options", "choices", "candidates")
SYSTEM = "system"
SPAN = (("start", "end"), ("start_s", "end_s"))
"""Pairs of columns that say which stretch of the video is shown, in seconds."""


def find_column(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of `names` that a row has a value for, whatever the case it is written in.

    Example:
        >>> find_column({"Question": "Why?"}, QUESTIONS)
        'Question'
    """
    by_name = {str(name).casefold(): name for name in row if has_value(row, name)}
    return next((by_name[name] for name in names if name in by_name), None)


def read_table_row(row: Mapping[str, Any], context: RowContext) -> Sample:
    """A row of a table. Raises BadRow."""
    question_column = find_column(row, QUESTIONS)
    answer_column = find_column(row, [name for name in ANSWERS if name != question_column])
    if question_column is None and answer_column is None:
        raise BadRow(
            f"has no question ({', '.join(QUESTIONS)}) and no answer ({', '.join(ANSWERS)})"
        )
    used = [name for name in (question_column, answer_column) if name]
    # Pictures with captions have no question: the answer is what is learnt.
    question = "" if question_column is None else _to_text(row, question_column)
    if question_column is not None and question_column.casefold() == "instruction":
        # Alpaca's rows have their instruction in two parts.
        input_column = find_column(row, ("input",))
        if input_column is not None:
            question = f"{question}\n{_to_text(row, input_column)}"
            used.append(input_column)
    options, option_columns = _read_options(row)
    span, span_columns = _read_span(row)
    media, file_columns = _read_files(row, context, span)
    used += [*option_columns, *span_columns, *file_columns]
    system_column = find_column(row, (SYSTEM,))
    system = "" if system_column is None else read_text(row, system_column)
    answer = None if answer_column is None else _list_or_text(row[answer_column])
    truth = read_truth(question, answer, options)
    text = question if not options or _are_in(options, question) else with_options(question, truth)
    files = tuple(item for items in media.values() for item in items)
    if has_placeholder(text):
        messages = place_media(messages_of(text, answer_text(truth), (), system), media)
    else:
        messages = messages_of(text, answer_text(truth), files, system)
    return make_sample(row, context, messages, truth, used={*used, system_column or SYSTEM})


def _to_text(row: Mapping[str, Any], name: str) -> str:
    """A text, or a number as one."""
    value = row[name]
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else read_text(row, name)


def with_options(question: str, truth: Truth) -> str:
    """The question with its options behind letters, one a line."""
    lines = [f"{LETTERS[index]}. {option}" for index, option in enumerate(truth.options)]
    return "\n".join([question, *lines])


def _are_in(options: Sequence[str], question: str) -> bool:
    return all(option in question for option in options)


def _read_options(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Options of one column, or of columns A, B, C, ... (option_a, a0, ...)."""
    column = find_column(row, OPTIONS)
    if column is not None:
        value = _list_or_text(row[column])
        if isinstance(value, str):
            value = [line.strip() for line in value.splitlines() if line.strip()]
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRow(f"{column!r} must be a list of texts, found {describe(row[column])}")
        return value, [column]
    for pattern in ("{letter}", "option_{letter}", "option{letter}", "a{index}"):
        columns = []
        for index, letter in enumerate(LETTERS):
            name = find_column(row, (pattern.format(letter=letter.casefold(), index=index),))
            if name is None:
                break
            columns.append(name)
        if len(columns) > 1:
            return [str(row[name]) for name in columns], columns
    return [], []


def _read_span(row: Mapping[str, Any]) -> tuple[Span | None, list[str]]:
    for names in SPAN:
        columns = [find_column(row, (name,)) for name in names]
        if None in columns:
            continue
        try:
            start_s, end_s = (float(row[name]) for name in columns if name is not None)
        except (TypeError, ValueError) as error:
            raise BadRow(f"{' and '.join(names)} must be seconds") from error
        if not 0 <= start_s < end_s < float("inf"):
            raise BadRow(f"a span must have 0 <= start < end, found {start_s:g} to {end_s:g}")
        return Span(start_s, end_s), [name for name in columns if name is not None]
    return None, []


def _read_files(
    row: Mapping[str, Any], context: RowContext, span: Span | None
) -> tuple[dict[str, list[MediaRef]], list[str]]:
    columns = {find_column(row, (name,)): kind for name, kind in FILES.items()}
    names = {name: kind for name, kind in columns.items() if name is not None}
    any_file = find_column(row, ANY_FILE)
    if any_file is not None and not names:
        kind = kind_of_path(read_text(row, any_file))
        names = {any_file: kind.value}
    values = {name: _list_or_text(row[name]) for name in names}
    media = read_media(values, names, context.root)
    if span is not None:
        media["video"] = [
            MediaRef(kind=item.kind, paths=item.paths, span=span)
            if item.kind is MediaKind.VIDEO
            else item
            for item in media["video"]
        ]
    return media, list(names)


def _list_or_text(value: Any) -> Any:
    """A cell; a JSON list in a cell is one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            parsed = parse_json(value, refuse_half_pairs=True)
        except JsonInputError:
            return value
        return parsed if isinstance(parsed, list) else value
    return value
