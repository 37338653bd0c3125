"""One item: a scripted scene, an expression, which object it means, and the proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from mmreason.grounding.boxes import Box
from mmreason.grounding.refadv.programs import Program, check_fields
from mmreason.grounding.tubes import Tube
from mmreason.video.plain_text import show_line
from mmreason.video.world import World
from mmreason.video.world.truth import boxes_at

GENERATOR_VERSION = 1
"""Rises when the same seed gives other items."""

ItemKind = Literal["image", "video"]
VariantKind = Literal[
    "shuffle", "delete", "strip_negation", "swap", "reverse", "single_frame", "blind", "floor"
]
_VARIANT_KINDS = VariantKind.__args__
MAX_VARIANTS = 64
MAX_TEXT = 2_000
MAX_IDS = 1_000
MAX_ID = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What is proved of an item by solving it."""

    answer: Literal["one", "none", "many"]
    unique: bool
    """The program denotes exactly the targets: one of them where the answer is "one"."""
    irredundant: bool
    """Without any one descriptor it denotes something else."""
    global_min: int | None
    """Fewest attributes (colour, shape, size, pattern, also negated) that suffice for the target;
    None where attributes alone do not suffice."""
    witnesses: tuple[tuple[str, str], ...]
    """For every descriptor an object that the expression means as well, or instead, without it;
    "" where it then means nothing."""
    hardest_id: str
    """The distractor that fits most descriptors."""
    shared_k: int
    """How many descriptors of the `k` the hardest distractor fits."""
    k: int
    order_critical: bool
    """The same words, bound otherwise, mean another single object."""
    negation_matters: bool
    """Read without "not" (or with both sides of "rather than" exchanged) it means another single
    object."""
    reversal_ids: tuple[str, ...] | None
    """What it means in the clip played backwards; None for images."""
    single_frame_bound: float
    """Best expected accuracy of one who knows what everything looks like in any one frame, and
    nothing of what happens; 1.0 where one frame may suffice."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "answer": self.answer,
            "unique": self.unique,
            "irredundant": self.irredundant,
            "global_min": self.global_min,
            "witnesses": dict(self.witnesses),
            "hardest_id": self.hardest_id,
            "shared_k": self.shared_k,
            "k": self.k,
            "order_critical": self.order_critical,
            "negation_matters": self.negation_matters,
            "reversal_ids": None if self.reversal_ids is None else list(self.reversal_ids),
            "single_frame_bound": self.single_frame_bound,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Certificate:
        """Raises ValueError where a field is missing or unknown."""
        fields = tuple(cls.__dataclass_fields__)
        check_fields(data, "certificate", *fields)
        missing = [name for name in fields if name not in data]
        if missing or not isinstance(data["witnesses"], dict):
            raise ValueError(f"a certificate needs {', '.join(fields)}; missing {missing}")
        changed = {
            "witnesses": tuple(data["witnesses"].items()),
            "reversal_ids": None if data["reversal_ids"] is None else _ids(data, "reversal_ids"),
        }
        return cls(**{**data, **changed})


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The item asked otherwise, to see what a reader relies on."""

    kind: VariantKind
    text: str
    world: World | None
    """What is shown; None for `blind`, where nothing is."""
    target_ids: tuple[str, ...]
    """What the text means there. For `shuffle`, `blind` and `floor`, which mean nothing by
    themselves, the targets of the item."""
    descriptor: str = ""
    """Of `delete`: which one is gone."""

    def to_dict(self) -> dict[str, Any]:
        """JSON types only; the scene is the item's, so that only its playback is written."""
        data: dict[str, Any] = {
            "kind": self.kind, "text": self.text, "target_ids": list(self.target_ids)
        }  # fmt: skip
        if self.descriptor:
            data["descriptor"] = self.descriptor
        if self.kind == "single_frame" and self.world is not None:
            data["frozen_at_s"] = self.world.frozen_at_s
        return data

    @classmethod
    def from_dict(cls, data: Any, world: World) -> Variant:
        """`world` is the item's. Raises ValueError where `data` is malformed."""
        check_fields(data, "variant", "kind", "text", "target_ids", "descriptor", "frozen_at_s")
        kind = data.get("kind")
        if kind not in _VARIANT_KINDS:
            raise ValueError(f"variant kind must be one of {_VARIANT_KINDS}, got {kind!r}")
        return cls(
            kind=kind,
            text=_text(data, "text"),
            world=show_variant(world, kind, _number(data, "frozen_at_s")),
            target_ids=_ids(data, "target_ids"),
            descriptor=_text(data, "descriptor") if "descriptor" in data else "",
        )


def show_variant(world: World, kind: VariantKind, frozen_at_s: float = 0.0) -> World | None:
    """The world that a variant of an item in `world` shows."""
    if kind == "blind":
        return None
    if kind == "reverse":
        return world.model_copy(update={"playback": "reverse"})
    if kind == "single_frame":
        return world.model_copy(update={"playback": "frozen", "frozen_at_s": frozen_at_s})
    return world


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A scene and an expression with its proof.

    Example:
        >>> from mmreason.grounding import refadv
        >>> knobs = refadv.Knobs(k=2, n=4)
        >>> item = next(refadv.generate(kind="image", seed=7, count=1, knobs=knobs))
        >>> len(item.candidate_ids), len(item.target_ids), item.certificate.unique
        (4, 1, True)
        >>> Item.from_dict(item.to_dict()) == item
        True
    """

    id: str
    kind: ItemKind
    world: World
    frame_time_s: float | None
    """Of an image, which frame it is; None for a video."""
    expression: str
    word_descriptors: tuple[str, ...]
    """For every word of `expression.split()` the descriptor that it speaks of, "" for grammar."""
    program: Program
    target_ids: tuple[str, ...]
    """Empty where nothing fits."""
    candidate_ids: tuple[str, ...]
    """All objects, in the order in which they are drawn."""
    certificate: Certificate
    variants: tuple[Variant, ...]
    tags: tuple[str, ...]
    """The family first, then what applies of `none`, `many`, `negation`, `two hops`, `texture`,
    `photo` and `cutouts`."""
    generator_version: int = GENERATOR_VERSION

    def boxes(self, time_s: float | None = None) -> dict[str, Box]:
        """Boxes of all objects that are seen at a time (an image's own by default), in pixels."""
        width_px, height_px = self.world.size_px
        boxes = boxes_at(self.world, self.frame_time_s or 0.0 if time_s is None else time_s)
        return {
            name: Box(x1 * width_px, y1 * height_px, x2 * width_px, y2 * height_px)
            for name, (x1, y1, x2, y2) in boxes.items()
        }

    def tubes(self, times_s: Sequence[float]) -> dict[str, Tube]:
        """Where every object is at each of `times_s` (rising)."""
        frames = [self.boxes(time_s) for time_s in times_s]
        return {
            name: Tube.from_boxes(times_s, [boxes.get(name) for boxes in frames], id=name)
            for name in self.candidate_ids
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON types only."""
        return {
            "id": self.id,
            "kind": self.kind,
            "generator_version": self.generator_version,
            "world": self.world.model_dump(exclude_defaults=True, mode="json"),
            "frame_time_s": self.frame_time_s,
            "expression": self.expression,
            "word_descriptors": list(self.word_descriptors),
            "program": self.program.to_dict(),
            "target_ids": list(self.target_ids),
            "candidate_ids": list(self.candidate_ids),
            "certificate": self.certificate.to_dict(),
            "variants": [variant.to_dict() for variant in self.variants],
            "tags": list(self.tags),
        }

    @classmethod
    def from_dict(cls, data: Any) -> Item:
        """Raises ValueError, in one line that names what is wrong. Nothing is solved: `certify`
        does."""
        fields = tuple(cls.__dataclass_fields__)
        check_fields(data, "Ref-Adv item", *fields)
        missing = [name for name in fields if name not in data]
        if missing:
            raise ValueError(f"a Ref-Adv item needs {', '.join(fields)}; missing {missing}")
        name = show_line(_text(data, "id"))
        if data["kind"] not in ItemKind.__args__:
            raise ValueError(f"{name}: kind must be image or video, got {data['kind']!r}")
        world = read_world(name, data["world"])
        variants = data["variants"]
        if not isinstance(variants, list) or len(variants) > MAX_VARIANTS:
            raise ValueError(f"{name}: variants must be a list of at most {MAX_VARIANTS}")
        frame_time_s = data["frame_time_s"]
        if frame_time_s is not None:
            frame_time_s = _number(data, "frame_time_s")
        return cls(
            id=name,
            kind=data["kind"],
            world=world,
            frame_time_s=frame_time_s,
            expression=_text(data, "expression"),
            word_descriptors=_ids(data, "word_descriptors"),
            program=Program.from_dict(data["program"]),
            target_ids=_ids(data, "target_ids"),
            candidate_ids=_ids(data, "candidate_ids"),
            certificate=Certificate.from_dict(data["certificate"]),
            variants=tuple(Variant.from_dict(variant, world) for variant in variants),
            tags=_ids(data, "tags"),
            generator_version=int(_number(data, "generator_version")),
        )


def read_world(name: str, data: Any) -> World:
    """The world of an item's JSON; raises ValueError naming the item and the first mistake."""
    try:
        return World.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(step) for step in first["loc"])
        raise ValueError(
            f"{show_line(name)}: not a valid world: {show_line(field)}: {show_line(first['msg'])}"
        ) from error


def _number(data: dict[str, Any], field: str) -> float:
    value = data.get(field, 0.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e6:
        raise ValueError(f"{field} must be a number up to a million, got {value!r:.40}")
    return value


def _text(data: dict[str, Any], field: str) -> str:
    value = data.get(field)
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"{field} must be a text of at most {MAX_TEXT} characters")
    return value


def _ids(data: dict[str, Any], field: str) -> tuple[str, ...]:
    values = data.get(field)
    if isinstance(values, list) and len(values) <= MAX_IDS:
        texts = [value for value in values if isinstance(value, str) and len(value) <= MAX_ID]
        if len(texts) == len(values):
            return tuple(texts)
    raise ValueError(f"{field} must be a list of short texts")
