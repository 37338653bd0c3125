"""COCO's JSON: boxes by class, and expressions as MDETR, mmdet and gRefCOCO keep them in it.

With expressions each entry of `images` is one: it has a `caption`, the image's own id is
`original_id`, and a no-target expression has no annotation, or one that is `empty`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmreason.grounding.boxes import Box
from mmreason.grounding.formats.rows import (
    BadRow,
    Form,
    FormError,
    Reading,
    ReferringRow,
    RowError,
    check_object,
    describe,
    get_expression,
    get_field,
    get_optional_size,
    get_optional_text,
    get_text,
    read_box,
    read_boxes,
    read_guarded,
)

_ROW_FIELDS = ("row_id", "split", "tags")
"""Of an entry of `images`, which others pass over; with them nothing of a row is lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CocoIndex:
    """Images, annotations and classes of a COCO document by their ids, as they stand there.

    Example:
        >>> CocoIndex.of({"images": [{"id": 7, "file_name": "a.jpg"}], "annotations": []}).images
        {'7': {'id': 7, 'file_name': 'a.jpg'}}
    """

    images: Mapping[str, dict[str, Any]]
    annotations: Mapping[str, dict[str, Any]]
    categories: Mapping[str, str]
    """Names by id."""

    @classmethod
    def of(cls, document: Any, text: str = "the file") -> CocoIndex:
        """From a document; FormError where it has not the three lists."""
        if not isinstance(document, dict):
            raise FormError(f"{text}: expected COCO's object, found {describe(document)}")
        images, annotations = (
            _by_id(document.get(name), f"{text}: {name!r}") for name in ("images", "annotations")
        )
        categories = _by_id(document.get("categories", []), f"{text}: 'categories'")
        names = {key: str(value.get("name", key)) for key, value in categories.items()}
        return cls(images=images, annotations=annotations, categories=names)


def _by_id(values: Any, text: str) -> dict[str, dict[str, Any]]:
    if not isinstance(values, list):
        raise FormError(f"{text} must be a list, found {describe(values)}")
    # Entries without an id can be named by nothing; what names them is told.
    return {
        str(value["id"]): value
        for value in values
        if isinstance(value, dict) and isinstance(value.get("id"), int | str)
    }


def parse_coco(document: Any, source: str) -> Iterator[Reading]:
    """Rows of a COCO document: one a captioned entry of `images`, else one a class in an image."""
    index = CocoIndex.of(document, source)
    by_image: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, annotation in enumerate(document["annotations"], start=1):
        if not isinstance(annotation, dict) or str(annotation.get("image_id")) not in index.images:
            what = "an object" if isinstance(annotation, dict) else describe(annotation)
            names = annotation.get("image_id") if isinstance(annotation, dict) else what
            reason = f"the annotation's 'image_id' names no image: {str(names)[:40]}"
            yield RowError(source, number, reason)
            continue
        by_image[str(annotation["image_id"])].append((number, annotation))
    for number, image in enumerate(document["images"], start=1):
        if not isinstance(image, dict) or "id" not in image:
            yield RowError(source, number, f"an image must have an 'id', found {describe(image)}")
            continue
        annotations = by_image[str(image["id"])]
        if "caption" in image:
            yield from read_guarded(
                source, number, _read_caption, source, number, image, annotations, index
            )
        else:
            yield from _read_classes(source, image, annotations, index)


def _read_caption(
    source: str,
    number: int,
    image: dict[str, Any],
    annotations: Sequence[tuple[int, dict[str, Any]]],
    index: CocoIndex,
) -> list[ReferringRow]:
    size_px = get_optional_size(image)
    targets = [annotation for _, annotation in annotations if not _is_empty(annotation)]
    boxes, notes = read_boxes(
        [get_field(annotation, "bbox") for annotation in targets], size_px, xywh=True
    )
    names = {index.categories.get(str(target.get("category_id")), "") for target in targets}
    row = ReferringRow(
        source=source,
        row=number,
        row_id=str(image.get("row_id", image["id"])),
        form=Form.COCO,
        expression=get_expression(image, "caption"),
        image=get_text(image, "file_name"),
        group_id=get_optional_text(image, "original_id"),
        size_px=size_px,
        boxes_px=boxes,
        truth_known=bool(image.get("truth_known", True)),
        category=names.pop() if len(names) == 1 else "",
        split=get_optional_text(image, "split"),
        tags=check_object(image.get("tags", {}), "'tags'"),
        notes=notes,
    )
    return [row]


def _is_empty(annotation: Mapping[str, Any]) -> bool:
    """Whether it says that there is no target, as gRefCOCO's converter writes it."""
    return bool(annotation.get("empty")) or str(annotation.get("category_id")) == "-1"


def _read_classes(
    source: str,
    image: dict[str, Any],
    annotations: Sequence[tuple[int, dict[str, Any]]],
    index: CocoIndex,
) -> Iterator[Reading]:
    """One row a class: its name refers to all of its objects in the image. Crowds are no boxes."""
    by_class: dict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, annotation in annotations:
        category = str(annotation.get("category_id"))
        if category not in index.categories:
            reason = f"the annotation's 'category_id' names no class: {category[:40]}"
            yield RowError(source, number, reason)
        elif not annotation.get("iscrowd"):
            by_class[category].append((number, annotation))
    for category, numbered in by_class.items():
        boxes: list[Box] = []
        notes: list[str] = []
        for number, annotation in numbered:
            try:
                size_px = get_optional_size(image)
                box, note = read_box(get_field(annotation, "bbox"), size_px, xywh=True)
            except BadRow as error:
                yield RowError(source, number, f"annotation: {error}")
                continue
            boxes.append(box)
            notes += [note] if note else []
        if boxes:
            name, first = index.categories[category], numbered[0][0]
            row_id = f"{image['id']}:{category}"
            yield from read_guarded(
                source, first, _class_row, source, first, row_id, name, image, boxes, notes
            )


def _class_row(
    source: str,
    number: int,
    row_id: str,
    name: str,
    image: dict[str, Any],
    boxes: Sequence[Box],
    notes: Sequence[str],
) -> list[ReferringRow]:
    row = ReferringRow(
        source=source,
        row=number,
        row_id=row_id,
        form=Form.COCO,
        expression=name,
        image=get_text(image, "file_name"),
        size_px=get_optional_size(image),
        boxes_px=tuple(boxes),
        category=name,
        notes=tuple(notes),
    )
    return [row]


def to_coco(rows: Sequence[ReferringRow]) -> dict[str, Any]:
    """COCO's document of rows about images, one entry of `images` an expression, as MDETR and
    mmdet read it. Raises FormError for a row about a video or without a size."""
    names = sorted({row.category or "object" for row in rows})
    category_ids = {name: number for number, name in enumerate(names, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, row in enumerate(rows, start=1):
        if not row.image or row.size_px is None:
            what = "is about a video" if not row.image else "has no size of its image"
            raise FormError(f"{row.source}, row {row.row}: {what}, which COCO cannot hold")
        width, height = row.size_px
        image: dict[str, Any] = {"id": image_id, "file_name": row.image}
        image |= {"width": width, "height": height, "caption": row.expression}
        image |= {"original_id": row.group_id} if row.group_id else {}
        image |= {name: getattr(row, name) for name in _ROW_FIELDS if getattr(row, name)}
        image |= {} if row.truth_known else {"truth_known": False}
        images.append(image)
        for box in row.boxes_px:
            xywh = [box.x1_px, box.y1_px, box.x2_px - box.x1_px, box.y2_px - box.y1_px]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_ids[row.category or "object"],
                    "bbox": xywh,
                    "area": box.area_px2,
                    "iscrowd": 0,
                    # The whole sentence names the target, where nothing says which words do.
                    "tokens_positive": [[0, len(row.expression)]],
                }
            )
    categories = [{"id": number, "name": name} for name, number in category_ids.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def coco_image(index: CocoIndex, image_id: Any) -> dict[str, Any]:
    """The image that a reference names. Raises BadRow."""
    image = index.images.get(str(image_id))
    if image is None:
        raise BadRow(f"image_id {str(image_id)[:40]} is in no image of the instances")
    return image


def coco_box(
    index: CocoIndex, annotation_id: Any, image_id: Any, size_px: tuple[int, int] | None
) -> tuple[dict[str, Any], Box, str]:
    """The annotation that a reference names, and its box with a note. Raises BadRow where it is
    there not, or belongs to another image."""
    annotation = index.annotations.get(str(annotation_id))
    if annotation is None:
        raise BadRow(f"ann_id {str(annotation_id)[:40]} is in no annotation of the instances")
    if str(annotation.get("image_id")) != str(image_id):
        raise BadRow(
            f"ann_id {annotation_id} is in image {annotation.get('image_id')}, the reference says "
            f"{image_id}: the two files do not belong together"
        )
    box, note = read_box(get_field(annotation, "bbox"), size_px, xywh=True)
    return annotation, box, note
