"""Rows of one problem: Video-R1, EasyR1, OneThinker, VLM-R1 and verl.

The right answer, as the row has it, is the assistant's message: supervised training learns it, and
reinforcement learning, which shows what comes before it, does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmreason.grounding import Box
from mmreason.training.data.dialects.conversations import PLURAL
from mmreason.training.data.dialects.media_values import read_media, read_medium
from mmreason.training.data.dialects.own_key import read_span
from mmreason.training.data.dialects.own_problems import messages_of
from mmreason.training.data.dialects.placeholders import has_placeholder, place_media, put_first
from mmreason.training.data.dialects.row_errors import BadRow, describe
from mmreason.training.data.dialects.rows import RowContext, make_sample, read_list, read_text
from mmreason.training.data.dialects.truths import read_truth, strip_tags
from mmreason.training.data.dialects.typed_messages import place_row_media, read_message_list
from mmreason.training.data.sample import Sample, SampleMessage
from mmreason.training.rewards import Frame, Mark, Truth
from mmreason.video.json_input import JsonInputError, parse_json

MULTIPLE_CHOICE = "multiple choice"
RELATIVE = 1000.0
"""OneThinker's boxes are what Qwen3-VL writes: thousandths of the frame's width and height."""


def read_video_r1(row: Mapping[str, Any], context: RowContext) -> Sample:
    """`problem`, `path`, `data_type`, `options` (with letters), `solution` in `<answer>`; `process`
    is the thought before it, where the row has one. Raises BadRow."""
    question, options = read_text(row, "problem"), read_list(row, "options")
    data_type = read_text(row, "data_type")
    if data_type not in ("video", "image"):
        raise BadRow(f"'data_type' must be video or image, found {describe(data_type)}")
    medium = read_medium(row.get("path"), data_type, context.root, "path")
    solution = _to_text(row.get("solution"))
    truth = read_truth(question, solution, options)
    answer = solution if solution is None else _with_process(row, solution)
    messages = messages_of(options_shown(question, options), answer or "", (medium,))
    used = {"problem", "path", "data_type", "options", "solution", "process"}
    return make_sample(row, context, messages, truth, used=used)


def _with_process(row: Mapping[str, Any], solution: str) -> str:
    process = read_text(row, "process", default="")
    return f"{process}\n{solution}" if process else solution


def options_shown(question: str, options: list[Any]) -> str:
    """The question with its options below it, as Video-R1 and OneThinker show them."""
    if not options:
        return question
    return "\n".join([question, "Options:", *map(str, options)])


def read_easyr1(row: Mapping[str, Any], context: RowContext) -> Sample:
    """`problem` with placeholders, `answer`, and `images` or `videos`. Raises BadRow."""
    problem, answer = read_text(row, "problem"), _to_text(row.get("answer"))
    media = read_media(row, PLURAL, context.root)
    messages = place_media(messages_of(problem, answer or "", ()), media)
    truth = read_truth(messages[0].text.strip(), answer)
    return make_sample(row, context, messages, truth, used={"problem", "answer", *PLURAL})


def read_onethinker(row: Mapping[str, Any], context: RowContext) -> Sample:
    """EasyR1 with `data_type`, `problem_type`, `options`, and answers that are times and boxes.
    Raises BadRow."""
    options = read_list(row, "options")
    shown = options if row.get("problem_type") == MULTIPLE_CHOICE else []
    problem = options_shown(read_text(row, "problem"), shown)
    media = read_media(row, PLURAL, context.root)
    answer = _to_text(row.get("answer"))
    first = messages_of(problem, answer or "", ())
    place = place_media if has_placeholder(problem) else put_first
    messages = place(first, media)
    question = messages[0].text.strip()
    located = _read_located(answer)
    used = {"problem", "answer", "options", *PLURAL}
    if located is None:
        truth = read_truth(question, answer, shown)
    else:
        truth = _truth_of_places(question, located, row)
    return make_sample(row, context, messages, truth, used=used)


def read_vlm_r1(row: Mapping[str, Any], context: RowContext) -> Sample:
    """`problem`, `solution` and `image`, as the first version had it. Rows of `conversations` are
    read as 2U1's. Raises BadRow."""
    media = read_media(row, {"image": "image", "images": "image"}, context.root)
    solution = row.get("solution")
    text = _to_text(solution)
    messages = messages_of(read_text(row, "problem"), text or "", ())
    place = place_media if has_placeholder(messages[0].text) else put_first
    messages = place(messages, media)
    truth = read_truth(messages[0].text.strip(), text)
    return make_sample(
        row, context, messages, truth, used={"problem", "solution", "image", "images"}
    )


def read_verl(row: Mapping[str, Any], context: RowContext) -> Sample:
    """`prompt` (messages) with placeholders, `images` and `videos`, `reward_model.ground_truth`;
    what `extra_info` says are free columns. Raises BadRow."""
    values = read_list(row, "prompt")
    reward_model, extra = _object(row, "reward_model"), _object(row, "extra_info")
    answer = _to_text(reward_model.get("ground_truth"))
    turns = read_message_list(values, context)
    messages = list(place_row_media(turns, row, context))
    question = next((m.text.strip() for m in reversed(messages) if m.role == "user"), "")
    truth = read_truth(question, answer)
    if answer:
        messages.append(SampleMessage(role="assistant", parts=(answer,)))
    fields = {name: value for name, value in extra.items() if value is not None}
    # verl numbers its rows itself; what a row says stands above what its extra information says.
    fields = {name: v for name, v in fields.items() if name not in ("index", "split", "question")}
    fields |= {name: v for name, v in row.items() if name != "extra_info" and v is not None}
    used = {"prompt", "reward_model", "ability", *PLURAL}
    return make_sample(fields, context, messages, truth, used=used)


def _object(row: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = row.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRow(f"{name!r} must be an object, found {describe(value)}")
    return value or {}


def _to_text(answer: Any) -> str | None:
    """An answer as the text that a model gives: objects and lists as JSON."""
    if answer is None or isinstance(answer, str):
        return answer
    if isinstance(answer, bool) or not isinstance(answer, int | float | dict | list):
        raise BadRow(
            f"an answer must be a text, a number, a list or an object, found {answer!r:.40}"
        )
    import json

    return json.dumps(answer, ensure_ascii=False)


def _read_located(answer: str | None) -> dict[str, Any] | None:
    """The object of times and boxes in an answer; None for an answer of words."""
    text = strip_tags(answer or "")
    if not text.startswith("{"):
        return None
    try:
        value = parse_json(text, refuse_half_pairs=True)
    except JsonInputError:
        return None
    return value if isinstance(value, dict) and value.keys() & {"time", "boxes"} else None


def _truth_of_places(question: str, located: Mapping[str, Any], row: Mapping[str, Any]) -> Truth:
    """Spans, and boxes in pixels where the row says how large the frame is (`width`, `height`);
    without that no number could be told from another's."""
    time, boxes = located.get("time"), located.get("boxes")
    spans = (read_span(time),) if isinstance(time, list) else None
    size_px = _size_of(row)
    if boxes is None or size_px is None:
        return Truth(question=question, spans=spans)
    frame = Frame(size_px=size_px)
    if isinstance(boxes, list):
        return Truth(question=question, spans=spans, boxes=(_to_box(boxes, size_px),), frame=frame)
    if not isinstance(boxes, dict):
        raise BadRow(f"'boxes' must be a box, or boxes by second, found {describe(boxes)}")
    marks = sorted(
        (Mark(_second_of(key), _to_box(value, size_px)) for key, value in boxes.items()),
        key=lambda mark: mark.time_s,
    )
    times_s = tuple(mark.time_s for mark in marks)
    if not marks or len(set(times_s)) < len(times_s):
        raise BadRow("'boxes' must have one box a second, and at least one")
    return Truth(
        question=question, spans=spans, tube=tuple(marks), tube_times_s=times_s, frame=frame
    )


def _second_of(key: str) -> float:
    if not key.isascii() or not key.isdigit() or len(key) > 9:
        raise BadRow(f"'boxes' must have whole seconds as keys, found {key[:40]!r}")
    return float(key)


def _size_of(row: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = row.get("width"), row.get("height")
    if type(width) is int and type(height) is int and min(width, height) > 0:
        return width, height
    return None


def _to_box(value: Any, size_px: tuple[int, int]) -> Box:
    is_box = isinstance(value, list) and len(value) == 4
    if not is_box or not all(type(v) in (int, float) and 0 <= v <= RELATIVE for v in value):
        raise BadRow(f"a box must be [x1, y1, x2, y2] of 0 to 1000, found {str(value)[:60]}")
    x1, y1, x2, y2 = (v * side / RELATIVE for v, side in zip(value, size_px * 2, strict=True))
    if x2 <= x1 or y2 <= y1:
        raise BadRow(f"the box {value} has no area")
    return Box(x1, y1, x2, y2)
