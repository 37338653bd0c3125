"""Images that somebody annotated with attributes and expressions, in COCO's JSON.

Each annotation may have `attributes` (an object, as CVAT and others export it: texts, numbers,
true or false, or lists of texts; null is not known) and `expression` or `expressions`, about that
object alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.grounding.expression_checks import ExpressionCheck, check_expression
from mmreason.grounding.formats.coco import CocoIndex
from mmreason.grounding.formats.rows import (
    BadRow,
    RowError,
    check_object,
    describe,
    get_field,
    get_optional_size,
    read_box,
)
from mmreason.grounding.look_alikes import (
    AnnotatedObject,
    Description,
    LookAlikes,
    describe_minimally,
    find_look_alikes,
)

BOOKKEEPING = frozenset({"track_id", "keyframe", "rotation"})
"""Attributes that CVAT adds to every export: no one sees them in a picture."""
MOST_OBJECTS = 500
"""Of one image: every pair is compared."""


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image, its objects, and what is said of which.

    Example:
        >>> AnnotatedImage("a.jpg", (), ()).objects
        ()
    """

    image: str
    objects: tuple[AnnotatedObject, ...]
    expressions: tuple[tuple[str, str], ...]
    """Text, and id of the object that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReport:
    """What an annotated image holds for whoever writes or checks expressions.

    Example:
        >>> report.look_alikes[0].differ  # doctest: +SKIP
        ('colour',)
    """

    image: str
    objects: int
    look_alikes: tuple[LookAlikes, ...]
    """Pairs that differ in one attribute at most."""
    descriptions: tuple[Description, ...]
    """The smallest that is true of each object alone."""
    expressions: tuple[ExpressionCheck, ...]


def read_annotated_images(document: Any, source: str) -> Iterator[AnnotatedImage | RowError]:
    """Images of a COCO document that have attributes or expressions. Raises FormError where it is
    none."""
    index = CocoIndex.of(document, source)
    objects: dict[str, list[AnnotatedObject]] = defaultdict(list)
    expressions: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for number, annotation in enumerate(document["annotations"], start=1):
        try:
            fields = check_object(annotation, "an annotation")
            image = index.images.get(str(fields.get("image_id")))
            if image is None:
                raise BadRow("'image_id' names no image")
            if "caption" in image or fields.get("iscrowd"):
                continue
            key = str(fields["image_id"])
            item = _read_object(fields, image, index)
            texts = _read_expressions(fields)
        except BadRow as error:
            yield RowError(source, number, str(error))
            continue
        objects[key].append(item)
        expressions[key] += [(text, item.id) for text in texts]
    for number, (key, items) in enumerate(objects.items(), start=1):
        if len(items) > MOST_OBJECTS:
            reason = f"image {key} has {len(items)} objects, the limit is {MOST_OBJECTS}"
            yield RowError(source, number, reason)
        elif expressions[key] or any(item.attributes for item in items):
            name = str(index.images[key].get("file_name", key))
            yield AnnotatedImage(name, tuple(items), tuple(expressions[key]))


def _read_object(
    fields: dict[str, Any], image: dict[str, Any], index: CocoIndex
) -> AnnotatedObject:
    category = index.categories.get(str(fields.get("category_id")))
    if category is None:
        raise BadRow(f"'category_id' names no class: {describe(fields.get('category_id'))}")
    box, _ = read_box(get_field(fields, "bbox"), get_optional_size(image), xywh=True)
    raw_attributes = fields.get("attributes") or {}
    attributes = {
        str(name).strip().lower(): values
        for name, value in check_object(raw_attributes, "'attributes'").items()
        if name not in BOOKKEEPING and (values := _read_values(str(name), value)) is not None
    }
    return AnnotatedObject(
        id=str(get_field(fields, "id")),
        category=category.strip().lower(),
        attributes=attributes,
        box=box,
    )


def _read_values(name: str, value: Any) -> tuple[str, ...] | None:
    """None of what is not known. True and false are whether the attribute's own name holds."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return (name.strip().lower(),) if value else ()
    if isinstance(value, str | int | float):
        return (str(value).strip().lower(),)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(item.strip().lower() for item in value)
    raise BadRow(f"attribute {name[:40]!r} must be a text, number, true, false or list of texts")


def _read_expressions(fields: dict[str, Any]) -> Sequence[str]:
    value = fields.get("expressions", fields.get("expression"))
    texts = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRow(f"'expressions' must be a list of texts, found {describe(value)}")
    if any(not text.strip() for text in texts):
        raise BadRow("an expression is blank")
    return texts


def report_image(image: AnnotatedImage) -> ImageReport:
    """Look-alikes, smallest descriptions and checked expressions of one image.

    Example:
        >>> report_image(AnnotatedImage("a.jpg", (), ())).objects
        0
    """
    return ImageReport(
        image=image.image,
        objects=len(image.objects),
        look_alikes=find_look_alikes(image.objects),
        descriptions=tuple(describe_minimally(image.objects, item.id) for item in image.objects),
        expressions=tuple(
            check_expression(image.objects, text, [target]) for text, target in image.expressions
        ),
    )
