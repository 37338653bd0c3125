"""Samples as rows of the dialects that are written.

Each function raises BadRow for a sample that its dialect cannot hold. Stretches, truths and the
like, for which a dialect has no field, are added by `write.py` under our own key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.training.data.dialects.own_problems import single_turn
from mmreason.training.data.dialects.placeholders import name_of, write_placeholders
from mmreason.training.data.dialects.problem_rows import MULTIPLE_CHOICE, options_shown
from mmreason.training.data.dialects.row_errors import BadRow
from mmreason.training.data.problem_file import LETTERS
from mmreason.training.data.question_text import ground_truth
from mmreason.training.data.sample import MediaKind, MediaRef, Sample, SampleMessage

_SPEAKERS = {"user": "human", "assistant": "gpt", "system": "system"}
_PLURAL = {"video": "videos", "image": "images", "audio": "audios"}


def write_llava(sample: Sample) -> dict[str, Any]:
    """LLaVA and Qwen's fine-tuning: files under `video` and `image`."""
    _refuse_pair(sample)
    turns, media = _write_turns(sample.messages)
    conversations = [{"from": _speaker(role), "value": text} for role, text in turns]
    return {"id": sample.id} | _singular(media) | {"conversations": conversations}


def write_two_u1(sample: Sample) -> dict[str, Any]:
    """2U1's GRPO stage: as LLaVA's, without placeholders."""
    _refuse_pair(sample)
    first = next((message for message in sample.messages if message.role == "user"), None)
    if first is None or first.media != sample.media:
        raise BadRow(
            "has files in a later message, and a row without placeholders shows them first"
        )
    if first.parts[: len(first.media)] != first.media:
        raise BadRow("has files behind a text, and a row without placeholders shows them first")
    row = write_llava(sample)
    for turn in row["conversations"]:
        turn["value"] = _without_places(turn["value"])
    return row


def _without_places(text: str) -> str:
    for name in ("video", "image", "audio"):
        text = text.replace(f"<{name}>\n", "")
    return text


def write_sharegpt(sample: Sample) -> dict[str, Any]:
    """LLaMA-Factory: `conversations`, files in lists, preference pairs beside them."""
    turns, media = _write_turns(sample.messages)
    conversations = [{"from": _speaker(role), "value": text} for role, text in turns]
    row: dict[str, Any] = {"id": sample.id, "conversations": conversations}
    if sample.rejected:
        row["chosen"] = conversations.pop()
        row["rejected"] = {"from": "gpt", "value": _rejected_text(sample)}
    return row | _plural(media)


def write_swift(sample: Sample) -> dict[str, Any]:
    """ms-swift: `messages` with placeholders; lists of frames are lists in `videos`."""
    turns, media = _write_turns(sample.messages)
    row: dict[str, Any] = {
        "id": sample.id,
        "messages": [{"role": role, "content": text} for role, text in turns],
    }
    for turn, message in zip(row["messages"], sample.messages, strict=True):
        if message.is_learnt is not None:
            turn["loss"] = message.is_learnt
    if sample.rejected:
        row["rejected_response"] = _rejected_text(sample)
    row |= _plural(media, with_frames=True)
    return row | ({"channel": sample.channel} if sample.channel else {})


def write_messages(sample: Sample) -> dict[str, Any]:
    """Messages of OpenAI and Hugging Face, with typed parts."""
    _refuse_pair(sample)
    messages = [
        {
            "role": message.role,
            "content": [_typed_part(item) for item in message.parts],
            **({} if message.is_learnt is None else {"weight": int(message.is_learnt)}),
        }
        for message in sample.messages
    ]
    return {"id": sample.id, "messages": messages}


def _typed_part(item: str | MediaRef) -> dict[str, Any]:
    if isinstance(item, str):
        return {"type": "text", "text": item}
    if item.kind is MediaKind.FRAMES:
        return {"type": "video", "video": list(item.paths)}
    return {"type": item.kind.value, item.kind.value: item.path}


def write_video_r1(sample: Sample) -> dict[str, Any]:
    """Video-R1: one video or image, and a solution in `<answer>`."""
    media, text, target = single_turn(sample)
    if len(media) != 1 or media[0].kind not in (MediaKind.VIDEO, MediaKind.IMAGE):
        raise BadRow(f"shows {len(media)} files, and a row has one video or image")
    problem, options = _split_options(sample, text)
    if options:
        kind = MULTIPLE_CHOICE
    else:
        kind = "free-form" if sample.truth.number is None else "numerical"
    process, solution = _split_process(target)
    if solution and "<answer>" not in solution:
        # Its rewards read tags alone.
        solution = f"<answer>{ground_truth(sample.truth) or solution}</answer>"
    row = {
        "problem_id": sample.id,
        "problem": problem,
        "data_type": media[0].kind.value,
        "problem_type": sample.columns.get("problem_type", kind),
        "options": options,
        "solution": solution,
        "path": media[0].path,
    }
    row |= {"process": process} if process else {}
    return row | ({"data_source": sample.channel} if sample.channel else {})


def _split_process(target: str) -> tuple[str, str]:
    """The thought before an answer in tags; "" where there is none."""
    start = target.find("<answer>")
    if start > 0 and target[start - 1] == "\n":
        return target[: start - 1], target[start:]
    return "", target


def _split_options(sample: Sample, text: str) -> tuple[str, list[str]]:
    """The question and its options as the row has them; no options where the text does not end with
    them in the dialect's form, or in ours."""
    truth = sample.truth
    lettered = [
        f"{letter}. {option}" for letter, option in zip(LETTERS, truth.options, strict=False)
    ]
    for options in (lettered, list(truth.options)):
        below = options_shown("", options)
        if options and text.endswith(below) and len(text) > len(below):
            return text[: -len(below)], options
    return text, []


def write_easyr1(sample: Sample) -> dict[str, Any]:
    """EasyR1: `problem` with placeholders, `answer`, and images or videos."""
    media, _, target = single_turn(sample)
    kinds = {name_of(medium) for medium in media}
    if len(kinds) > 1:
        raise BadRow("shows images and videos, and EasyR1 reads one of them")
    problem, files = write_placeholders(sample.messages[0])
    row = {"problem": problem, "answer": ground_truth(sample.truth) or target, "id": sample.id}
    row |= _plural(files)
    return row | ({"data_source": sample.channel} if sample.channel else {})


def write_onethinker(sample: Sample) -> dict[str, Any]:
    """OneThinker: EasyR1's row with its type, and options apart."""
    row = write_easyr1(sample)
    media = sample.media
    data_type = name_of(media[0]) if media else "text"
    problem, options = _split_options(sample, row["problem"])
    given = sample.columns.get("problem_type")
    if given is not None and (given == MULTIPLE_CHOICE) != bool(options):
        problem, options = row["problem"], []
    if not options:
        kind = "open-ended" if sample.truth.number is None else "numerical"
    else:
        kind = MULTIPLE_CHOICE
    row |= {"problem": problem, "options": options}
    return row | {
        "data_type": sample.columns.get("data_type", data_type),
        "problem_type": given or kind,
    }


def write_verl(sample: Sample) -> dict[str, Any]:
    """verl: `prompt` as messages with placeholders, and the answer under `reward_model`."""
    _refuse_pair(sample)
    turns, media = _write_turns(sample.prompt)
    videos, images = [], []
    for medium in media:
        if medium.kind is MediaKind.IMAGE:
            images.append({"image": medium.path})
        elif medium.kind is MediaKind.VIDEO:
            span = medium.span
            videos.append(
                {
                    "video": medium.path,
                    "video_start": None if span is None else span.start_s,
                    "video_end": None if span is None else span.end_s,
                }
            )
        else:
            raise BadRow(f"shows {medium.kind}, and a row has videos and images")
    return {
        "data_source": sample.channel or "mmreason",
        "prompt": [{"role": role, "content": text} for role, text in turns],
        "images": images,
        "videos": videos,
        "ability": "video",
        "reward_model": {
            "style": "rule",
            "ground_truth": ground_truth(sample.truth) or sample.target,
        },
        "extra_info": {"id": sample.id},
    }


def write_trl(sample: Sample, *, typed: bool) -> dict[str, Any]:
    """TRL: `prompt` and `completion`, or `chosen` and `rejected`, as messages. Images stand in
    `images`, their places in typed parts, which all rows of a file have where one has; a video is a
    column for an environment, since TRL shows none."""
    videos = [medium for medium in sample.media if medium.kind is MediaKind.VIDEO]
    images = [medium for medium in sample.media if medium.kind is MediaKind.IMAGE]
    if len(videos) + len(images) < len(sample.media) or (videos and images) or len(videos) > 1:
        raise BadRow("a row of TRL has images, or one video for an environment")
    prompt = [_trl_message(message, typed=typed) for message in sample.prompt]
    answers = sample.messages[len(sample.prompt) :]
    row: dict[str, Any] = {"id": sample.id, "prompt": prompt}
    if sample.rejected:
        row["chosen"] = [_trl_message(message, typed=typed) for message in answers]
        row["rejected"] = [_trl_message(message, typed=typed) for message in sample.rejected]
    elif answers:
        row["completion"] = [_trl_message(message, typed=typed) for message in answers]
    if videos:
        row["video"] = videos[0].path
    if images:
        row["images"] = [medium.path for medium in images]
    solution = ground_truth(sample.truth)
    return row | ({"solution": solution} if solution else {})


def _trl_message(message: SampleMessage, *, typed: bool) -> dict[str, Any]:
    if not typed:
        return {"role": message.role, "content": message.text}
    parts = [
        {"type": "text", "text": item} if isinstance(item, str) else {"type": "image", "text": None}
        for item in message.parts
        if isinstance(item, str) or item.kind is MediaKind.IMAGE
    ]
    return {"role": message.role, "content": parts}


def _refuse_pair(sample: Sample) -> None:
    if sample.rejected:
        raise BadRow("has a rejected answer, for which the dialect has no field")


def _rejected_text(sample: Sample) -> str:
    if len(sample.rejected) != 1 or sample.rejected[0].media:
        raise BadRow("has a rejected answer of several messages, and a row has one text")
    return sample.rejected[0].text


def _write_turns(
    messages: Sequence[SampleMessage],
) -> tuple[list[tuple[str, str]], list[MediaRef]]:
    """(role, text with placeholders) of each message, and the files in their order."""
    turns, media = [], []
    for message in messages:
        text, files = write_placeholders(message)
        turns.append((message.role, text))
        media += files
    return turns, media


def _speaker(role: str) -> str:
    if role not in _SPEAKERS:
        raise BadRow(f"has a message of the {role}, for which the dialect has no speaker")
    return _SPEAKERS[role]


def _singular(media: Sequence[MediaRef]) -> dict[str, Any]:
    """`video`, `image` and `audio`: a path, or a list of several."""
    by_name = _paths_by_name(media, with_frames=False)
    return {name: paths[0] if len(paths) == 1 else paths for name, paths in by_name.items()}


def _plural(media: Sequence[MediaRef], *, with_frames: bool = False) -> dict[str, Any]:
    """`videos`, `images` and `audios`: lists."""
    by_name = _paths_by_name(media, with_frames=with_frames)
    return {_PLURAL[name]: paths for name, paths in by_name.items()}


def _paths_by_name(media: Sequence[MediaRef], *, with_frames: bool) -> Mapping[str, list[Any]]:
    by_name: dict[str, list[Any]] = {}
    for medium in media:
        if medium.kind is MediaKind.FRAMES and not with_frames:
            raise BadRow("shows a list of frames, for which the dialect has no field")
        path: Any = list(medium.paths) if medium.kind is MediaKind.FRAMES else medium.path
        by_name.setdefault(name_of(medium), []).append(path)
    return by_name
