"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO: references beside COCO's `instances.json`.

`refer` pickles them, which is read without running anything; gRefCOCO's are JSON, with a list of
annotations, or -1 where nothing in the image is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmreason.grounding.formats.coco import CocoIndex, coco_box, coco_image
from mmreason.grounding.formats.pickles import PickleInputError, read_plain_pickle
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
    get_list,
    get_optional_size,
    get_optional_text,
    get_text,
    read_guarded,
)
from mmreason.grounding.formats.sources import (
    check_file,
    number_rows,
    read_document,
    source_name,
)
from mmreason.video.plain_text import show_line

INSTANCES = "instances.json"
"""What `refer` calls the file of boxes, which lies beside the references."""
PICKLE_SUFFIXES = (".p", ".pkl", ".pickle")
_NO_TARGET = -1


def parse_references(
    references: list[Any], path: Path, instances: Path | None = None
) -> Iterator[Reading]:
    """One row a sentence of each reference of `path`. `instances` is COCO's file of boxes, by
    default `instances.json` beside it. Raises FormError where that cannot be read."""
    boxes_path = path.with_name(INSTANCES) if instances is None else instances
    if not boxes_path.is_file():
        raise FormError(
            f"{show_line(str(path))}: boxes of references are in COCO's instances, and there is no "
            f"{show_line(str(boxes_path))}; give the file of instances"
        )
    index = CocoIndex.of(read_document(boxes_path), boxes_path.name)
    source = source_name(path)
    for number, values in number_rows(references):
        if isinstance(values, str):
            yield RowError(source, number, values)
            continue
        yield from _read_reference(source, number, values, index)


def load_references(path: Path) -> list[Any]:
    """The references of a pickle or of JSON, as they stand there. FormError where it is neither."""
    text = show_line(str(path))
    if path.suffix.lower() in PICKLE_SUFFIXES:
        check_file(path)
        try:
            references = read_plain_pickle(path)
        except (PickleInputError, OSError) as error:
            raise FormError(f"{text}: {error}") from error
    else:
        references = read_document(path)
    if not isinstance(references, list):
        raise FormError(f"{text}: expected a list of references, found {describe(references)}")
    return references


def _read_reference(
    source: str, number: int, values: dict[str, Any], index: CocoIndex
) -> Iterator[Reading]:
    """A bad sentence costs its row; a bad box all rows of its reference."""
    try:
        target = _read_target(values, index)
        sentences = get_list(values, "sentences")
        if not sentences:
            raise BadRow("'sentences' is empty: nothing refers")
    except BadRow as error:
        yield RowError(source, number, str(error))
        return
    for sentence in sentences:
        yield from read_guarded(
            source, number, _read_sentence, source, number, values, sentence, target
        )


def _read_sentence(
    source: str, number: int, values: dict[str, Any], sentence: Any, target: dict[str, Any]
) -> list[ReferringRow]:
    fields = check_object(sentence, "a sentence")
    sentence_id = get_optional_text(fields, "sent_id")
    reference_id = get_optional_text(values, "ref_id") or str(number)
    row = ReferringRow(
        source=source,
        row=number,
        row_id=f"{reference_id}:{sentence_id}" if sentence_id else reference_id,
        expression=get_expression(fields, "sent" if "sent" in fields else "raw"),
        tags={"reference": reference_id},
        **target,
    )
    return [row]


def _read_target(values: dict[str, Any], index: CocoIndex) -> dict[str, Any]:
    """What rows of one reference have in common."""
    image_id = get_field(values, "image_id")
    image = coco_image(index, image_id)
    size_px = get_optional_size(image)
    named = get_field(values, "ann_id")
    several = isinstance(named, list)
    ids = named if several else [named]
    if not ids:
        raise BadRow(f"'ann_id' is an empty list; {_NO_TARGET} says that there is no target")
    if _NO_TARGET in ids and ids != [_NO_TARGET]:
        raise BadRow(f"'ann_id' names targets and {_NO_TARGET}, which says that there is none")
    no_target = ids == [_NO_TARGET]
    if bool(values.get("no_target", no_target)) != no_target:
        raise BadRow(f"'no_target' and 'ann_id' {ids[:4]} say the opposite of each other")
    targets = [] if no_target else [coco_box(index, key, image_id, size_px) for key in ids]
    names = {index.categories.get(str(entry.get("category_id")), "") for entry, _, _ in targets}
    return {
        "form": Form.GREFCOCO if several else Form.REFCOCO,
        "image": get_text(image, "file_name"),
        "group_id": str(image_id),
        "size_px": size_px,
        "boxes_px": tuple(box for _, box, _ in targets),
        "category": names.pop() if len(names) == 1 else "",
        "split": get_optional_text(values, "split"),
        "notes": tuple(note for _, _, note in targets if note),
    }
