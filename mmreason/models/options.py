"""Options of a model: what a user may set of how it is asked, shown frames and read.

One typed record for Python (`Reasoner.load(..., options={...})`), the command line
(`--option key=value`) and a TOML file. Each option reaches the request, or the kind of model that
cannot take it refuses it by name.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

from mmreason.grounding import Dialect
from mmreason.models.base import ClipRecipe, Tier
from mmreason.models.box_dialects import with_dialect
from mmreason.models.serving_engines import EngineName
from mmreason.types import UsageError
from mmreason.video import VideoError
from mmreason.video.encoders.pruning import PruneSettings
from mmreason.video.json_input import JsonInputError, parse_json
from mmreason.video.plain_text import show_line

FramesAs = Literal["images", "video"]
ImageFormat = Literal["jpeg", "png", "webp"]

MOST_FILE_BYTES = 1_000_000
_MOST_KEY_CHARACTERS = 200
_TABLES = ("chat_template_kwargs", "extra_body", "mm_processor_kwargs", "media_io_kwargs")
"""Options that hold fields of their own: `extra_body.top_k=20` sets one of them."""

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """What was set; None, or an empty table, leaves an option as the model or its server has it.

    Example:
        >>> ModelOptions(enable_thinking=False, max_frames=32).given
        {'enable_thinking': False, 'max_frames': 32}
    """

    tier: Tier | None = None
    """How much is left to the model: nano, small or strong."""
    served_by: EngineName | None = None
    """The engine behind a URL, where it is not recognised."""

    answer_tokens: int | None = None
    """Most tokens of an answer to a question."""
    caption_tokens: int | None = None
    """Most tokens of the description of a clip."""
    overview_tokens: int | None = None
    """Most tokens of the description of a longer stretch."""
    decide_tokens: int | None = None
    """Most tokens of a turn that decides where to look."""
    thought_tokens: int | None = None
    """Tokens for a thought, in addition to those of its answer."""
    context_tokens: int | None = None
    """Most tokens of a request and its reply together: fewer frames are shown where it is more."""

    temperature: float | None = None
    """Of requests that would take the likeliest token: some models that think run in circles so."""
    enable_thinking: bool | None = None
    chat_template_kwargs: Fields = field(default_factory=dict, hash=False)
    """Variables of the chat template."""
    extra_body: Fields = field(default_factory=dict, hash=False)
    """Fields that join every request to a server."""
    mm_processor_kwargs: Fields = field(default_factory=dict, hash=False)
    """Settings of the processor of pictures and clips."""
    media_io_kwargs: Fields = field(default_factory=dict, hash=False)
    """How a server reads clips."""

    frames_as: FramesAs | None = None
    image_format: ImageFormat | None = None
    image_quality: int | None = None
    """1 to 100, of JPEG and WebP."""
    longest_px: int | None = None
    """Longest side of a frame."""
    max_frames: int | None = None
    """Frames of one clip."""
    box_dialect: Dialect | None = None
    """What the numbers of a box mean, and how boxes are asked for."""
    prune: str | None = None
    """Which visual tokens of a clip the language model reads, such as "evs:0.5"
    (`PruneSettings.parse`)."""
    vision_cache_mb: int | None = None
    """Memory for features of frames that were seen before; 0 for none."""

    def __post_init__(self) -> None:
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and not least <= value < math.inf:
                raise UsageError(f"option {name}: expected {least} or more, got {value}")
        if self.image_quality is not None and self.image_quality > 100:
            raise UsageError(f"option image_quality: expected 1 to 100, got {self.image_quality}")
        if self.image_quality is not None and self.image_format == "png":
            raise UsageError(
                "option image_quality: PNG loses nothing; use image_format jpeg or webp"
            )
        _ = self.prune_settings

    @property
    def prune_settings(self) -> PruneSettings | None:
        """The option `prune`, read. UsageError for what is none."""
        try:
            return None if self.prune is None else PruneSettings.parse(self.prune)
        except VideoError as error:
            raise UsageError(f"option {error}") from error

    @property
    def given(self) -> dict[str, Any]:
        """Option -> value, of those that were set."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, {})}

    @property
    def changing_replies(self) -> dict[str, Any]:
        """Those that may change what a model writes to the same messages; they are part of its
        fingerprint. What changes the messages is in the clip recipe, which is so too."""
        return {
            name: value
            for name, value in self.given.items()
            if name not in OF_EVERY_MODEL | _IN_CLIP_RECIPE | _OF_SPEED_ALONE
        }

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> ModelOptions:
        """Options by name. UsageError for an unknown one, with the nearest name, and for a value of
        the wrong kind.

        Example:
            >>> ModelOptions.from_mapping({"max_frame": 8})
            Traceback (most recent call last):
            ...
            mmreason.types.UsageError: option max_frame is unknown; did you mean max_frames?
        """
        # Here, since most models are loaded without options.
        from pydantic import TypeAdapter, ValidationError

        for name in values:
            _check_name(str(name))
        try:
            return TypeAdapter(cls).validate_python(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            if not first["loc"]:  # a check of ours, which names the option itself
                raise UsageError(str(first.get("ctx", {}).get("error", first["msg"]))) from error
            place = ".".join(map(str, first["loc"]))
            given = show_line(repr(first["input"]))[:60]
            raise UsageError(f"option {place}: {first['msg']}; got {given}") from error

    @classmethod
    def parse(cls, items: Iterable[str]) -> ModelOptions:
        """Options of the form "key=value", the value in JSON or a plain word; "key.field=value"
        sets one field of a table. UsageError for what is none.

        Example:
            >>> options = ModelOptions.parse(["tier=strong", "extra_body.top_k=20"])
            >>> options.tier, options.extra_body
            ('strong', {'top_k': 20})
        """
        values: dict[str, Any] = {}
        for item in items:
            key, is_pair, text = item.partition("=")
            name, _, inner = key.strip().partition(".")
            if not is_pair or not name or len(key) > _MOST_KEY_CHARACTERS:
                raise UsageError(f"--option {show_line(item)[:80]!r}: expected key=value")
            _check_name(name)
            if inner and name not in _TABLES:
                raise UsageError(f"option {name} has no fields; give {name}=value")
            value = _value_of(text.strip())
            if inner:
                # Each name on the way is a table in a table: "a.b=1" is {"a": {"b": 1}}.
                for step in reversed(inner.split(".")):
                    value = {step: value}
                before = values.get(name)
                value = _merged(before if isinstance(before, Mapping) else {}, value)
            values[name] = value
        return cls.from_mapping(values)

    @classmethod
    def from_toml(cls, path: str | Path) -> ModelOptions:
        """The options in a TOML file. UsageError for a file that cannot be read or holds others."""
        try:
            with Path(path).open("rb") as file:
                # One byte beyond the limit tells a longer file without reading all of it.
                content = file.read(MOST_FILE_BYTES + 1)
            if len(content) > MOST_FILE_BYTES:
                raise ValueError(f"has more than {MOST_FILE_BYTES:,} bytes")
            values = tomllib.loads(content.decode())
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(f"{path}: the options cannot be read ({error})") from error
        try:
            return cls.from_mapping(values)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error

    def overridden_by(self, other: ModelOptions) -> ModelOptions:
        """These options, with those that `other` sets in their place; tables are joined.

        Example:
            >>> first = ModelOptions(tier="small", extra_body={"top_k": 1})
            >>> first.overridden_by(ModelOptions(extra_body={"min_p": 0.1})).extra_body
            {'top_k': 1, 'min_p': 0.1}
        """
        values = dict(other.given)
        for name in _TABLES:
            values[name] = _merged(getattr(self, name), getattr(other, name))
        return replace(self, **values)

    def refuse(self, names: Collection[str], reason: str) -> None:
        """UsageError, which names them, where one of these options is set."""
        refused = [name for name in self.given if name in names]
        if refused:
            plural = "s" if len(refused) > 1 else ""
            raise UsageError(f"option{plural} {', '.join(refused)}: {reason}")

    def adapt_clip(self, clip: ClipRecipe) -> ClipRecipe:
        """The recipe, with what these options say of it."""
        names = ("answer_tokens", "caption_tokens", "overview_tokens", "decide_tokens")
        changes = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.max_frames is not None:
            changes["frames"] = self.max_frames
        if self.longest_px is not None:
            # A fixed size would contradict the longest side that is asked for.
            changes |= {"longest_px": self.longest_px, "size_px": None}
        if self.box_dialect is not None:
            clip = with_dialect(clip, self.box_dialect)
        return replace(clip, **changes) if changes else clip


_LEAST: dict[str, float] = {
    **dict.fromkeys(("answer_tokens", "caption_tokens", "overview_tokens", "decide_tokens"), 1),
    "thought_tokens": 0,
    "context_tokens": 1,
    "temperature": 0.0,
    "image_quality": 1,
    "longest_px": 1,
    "max_frames": 1,
    "vision_cache_mb": 0,
}
OF_EVERY_MODEL = frozenset(
    ("tier", "answer_tokens", "caption_tokens", "overview_tokens", "decide_tokens")
)
"""Limits that stand in each request, and what only we read."""
_IN_CLIP_RECIPE = frozenset(("max_frames", "longest_px", "box_dialect"))
OF_OWN_PROCESS = frozenset(("prune", "vision_cache_mb"))
"""What is done between the parts of a model, which servers do not let us."""
_OF_SPEED_ALONE = frozenset(("vision_cache_mb",))


def names_model_option(item: str) -> bool:
    """Whether a text begins with the name of an option, before "=" or a full stop.

    Example:
        >>> names_model_option("max_frames=8"), names_model_option("E = mc2")
        (True, False)
    """
    key, is_pair, _ = item.partition("=")
    return bool(is_pair) and key.partition(".")[0] in {item.name for item in fields(ModelOptions)}


def as_options(options: ModelOptions | Mapping[str, Any] | None) -> ModelOptions:
    """Options as a record, from whatever a caller gives."""
    if options is None:
        return ModelOptions()
    return options if isinstance(options, ModelOptions) else ModelOptions.from_mapping(options)


def _check_name(name: str) -> None:
    names = [item.name for item in fields(ModelOptions)]
    if name in names:
        return
    nearest = difflib.get_close_matches(name, names, n=1)
    todo = f"did you mean {nearest[0]}?" if nearest else f"the options are {', '.join(names)}"
    raise UsageError(f"option {show_line(name)[:60]} is unknown; {todo}")


def _value_of(text: str) -> Any:
    """JSON where it is some; a plain word otherwise."""
    try:
        return parse_json(text)
    except JsonInputError:
        # Meant as JSON: taken as a plain word, the mistake would only show at the server.
        if text.startswith(("{", "[")):
            raise UsageError(f"--option: {show_line(text)[:60]!r} is no JSON") from None
        return text


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables; `second` decides, and tables inside are merged too."""
    merged = dict(first)
    for name, value in second.items():
        before = merged.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(before, value)
        else:
            merged[name] = value
    return merged
