"""A bad row is named and costs itself alone; a bad file is refused in one line; nothing is run."""

from __future__ import annotations

import io
import json
import os
import pickle
import pickletools
from collections import OrderedDict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmreason.grounding import Mask, Tube
from mmreason.grounding.formats import (
    Form,
    FormError,
    ReferringRow,
    detect_form,
    find_shared_media,
    read_rows,
)
from mmreason.grounding.formats.pickles import PickleInputError, parse_plain_pickle
from mmreason.grounding.formats.rle import read_rle
from mmreason.grounding.formats.rows import BadRow
from mmreason.grounding.formats.tracks import read_mot
from mmreason.video.types import Span
from tests.grounding.formats.formats_files import (
    HCSTVG_CLIP,
    INSTANCES,
    MEVIS,
    MEVIS_MASKS,
    ODVG_ROW,
    REF_ADV_ROW,
    REFERENCES,
    VIDOR,
    VIDSTG,
    good,
    reasons,
    write_json,
    write_lines,
)


class Runs:
    """Unpickled the usual way, this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_never_run(tmp_path: Path, protocol: int) -> None:
    proof = tmp_path / "it ran"
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps([Runs(proof)], protocol=protocol))
    write_json(tmp_path / "instances.json", INSTANCES)
    with pytest.raises(FormError, match=r"refs\(unc\)\.p: holds more than lists.*nothing was run"):
        list(read_rows(path))
    assert not proof.exists()


@pytest.mark.parametrize(
    "value", [OrderedDict(a=1), Decimal(1), {1, 2}, b"bytes", Path("a"), object, frozenset({1}), 1j]
)
def test_only_plain_data_is_built(value: Any) -> None:
    for protocol in (2, 4):
        with pytest.raises(PickleInputError):
            parse_plain_pickle(pickle.dumps([value], protocol=protocol))


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.tuples(inner)
    ),
    max_leaves=6,
)


@settings(max_examples=20, deadline=None)
@given(value=PLAIN, protocol=st.integers(0, 5))
def test_plain_data_is_read_as_pickle_reads_it(value: Any, protocol: int) -> None:
    # What refers to one object twice, too: the memo is used.
    value = [value, value]
    assert parse_plain_pickle(pickle.dumps(value, protocol=protocol)) == value


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_pickles_are_refused_or_read_and_never_run(data: st.DataObject) -> None:
    whole = bytearray(pickle.dumps(REFERENCES, protocol=data.draw(st.sampled_from([0, 2, 4]))))
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        parse_plain_pickle(cut)
    except PickleInputError as error:
        assert "\n" not in str(error)


def test_a_place_in_the_memo_takes_no_memory() -> None:
    # Python's own unpickler makes a table of that many places.
    assert parse_plain_pickle(b"]r\xff\xff\xff\xff.") == []


def test_a_pickle_that_holds_itself_is_refused_row_by_row(tmp_path: Path) -> None:
    rows: list[Any] = [REFERENCES[0]]
    rows.append(rows)
    rows.append({**REFERENCES[0], "sentences": rows})
    path = tmp_path / "refs.p"
    path.write_bytes(pickle.dumps(rows))
    write_json(tmp_path / "instances.json", INSTANCES)
    readings = list(read_rows(path))
    assert len(good(readings[:2])) == 2
    assert readings[2].row == 2 and "expected an object, found a list of 3" in str(readings[2])
    assert len(reasons(readings)) == 4


def test_pickletools_stays_the_only_reader() -> None:
    """The module that reads pickles does not import the one that runs them."""
    import mmreason.grounding.formats.pickles as module

    source = Path(module.__file__).read_text(encoding="utf-8")
    assert "\nimport pickletools" in source and "import pickle\n" not in source.replace(
        ">>> import pickle\n", ""
    )
    assert list(pickletools.genops(io.BytesIO(b"N.")))


BAD_BOXES: dict[str, tuple[Any, str]] = {
    "NaN": ([1, 2, float("nan"), 4], "must be a number, found null"),
    "infinity": ([1, 2, float("inf"), 4], "must be a number, found null"),
    "too few numbers": ([1, 2, 3], "four numbers, found a list of 3"),
    "text": (["1", 2, 3, 4], "must be a number, found the text '1'"),
    "no list": ({"x": 1}, "must be four numbers, found an object"),
    "null": (None, "'solution' is null"),
    "swapped corners": ([30, 20, 10, 40], "has no area; corners must be x1 < x2"),
    "a line": ([10, 20, 10, 40], "has no area"),
    "outside": ([200, 20, 300, 40], "lies outside the image of 100 x 80"),
    "negative": ([-50, -50, -10, -10], "lies outside the image"),
    "true": ([True, 2, 3, 4], "must be a number, found bool True"),
    "huge": ([0, 0, 10**400, 4], "must be a number, found null"),
}


@pytest.mark.parametrize("name", BAD_BOXES)
def test_a_bad_box_costs_its_row_and_is_named(tmp_path: Path, name: str) -> None:
    box, expected = BAD_BOXES[name]
    rows = [REF_ADV_ROW, REF_ADV_ROW | {"solution": box}, REF_ADV_ROW]
    try:
        path = write_lines(tmp_path / "val.jsonl", rows)
    except ValueError:  # digits of a number that Python does not write
        pytest.fail("the row must be written")
    first, second, third = list(read_rows(path))
    good([first, third])
    assert str(second).startswith(f"{path}, row 2: ") and expected in str(second)


def test_a_box_that_reaches_beyond_is_clipped_and_told(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [REF_ADV_ROW | {"solution": [-5, 20, 40, 99]}])
    (row,) = good(list(read_rows(path)))
    assert row.boxes_px[0].xyxy == (0, 20, 40, 80)
    assert row.notes == ("box [-5, 20, 40, 99] was clipped to 100 x 80",)


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "missing column": ({"solution": [1, 2, 3, 4]}, "'width' is missing; the row has 'solution'"),
    "empty expression": (REF_ADV_ROW | {"normal_caption": " "}, "'normal_caption' is blank"),
    "no text": (REF_ADV_ROW | {"normal_caption": 7}, "must be a text"),
    "a whole file": (REF_ADV_ROW | {"normal_caption": "a " * 20_000}, "the limit is 20,000"),
    "no width": (REF_ADV_ROW | {"width": 0}, "whole number from 1 on, found 0"),
    "half a pixel": (REF_ADV_ROW | {"height": 80.5}, "whole number from 1 on, found 80.5"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_bad_field_is_named(tmp_path: Path, name: str) -> None:
    values, expected = BAD_FIELDS[name]
    path = write_lines(tmp_path / "val.jsonl", [REF_ADV_ROW, values])
    first, second = list(read_rows(path))
    good([first])
    assert expected in str(second) and "\n" not in str(second)


def test_an_expression_of_ten_thousand_words_or_in_another_language_is_read(tmp_path: Path) -> None:
    texts = ["狗 " * 9_999, "الكلب الذي لا يستلقي"]
    rows = [REF_ADV_ROW | {"normal_caption": text} for text in texts]
    read = good(list(read_rows(write_lines(tmp_path / "val.jsonl", rows))))
    assert [row.expression for row in read] == [text.strip() for text in texts]


def test_lines_that_are_no_objects_are_passed_over_by_number(tmp_path: Path) -> None:
    lines = ["", '{"normal_caption": ', "[1]", '"\\ud800"', REF_ADV_ROW, "[" * 200]
    path = write_lines(tmp_path / "val.jsonl", [REF_ADV_ROW, *lines])
    readings = list(read_rows(path))
    assert [reading.row for reading in readings] == [1, 3, 4, 5, 6, 7]
    assert len(reasons(readings)) == 4


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("gone.jsonl", None, "there is no such file"),
        ("a.json", b"", "is empty"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b"7", "is in no form that is known; it is int 7"),
        ("a.json", b"{}", "is in no form that is known; its object have nothing"),
        ("a.json", b'{"x": 1}', "its object have 'x'"),
        ("a.json", b"[]", "holds no row"),
        ("a.json", b'{"images": 1, "annotations": []}', "'images' must be a list"),
        ("a.jsonl", b'{"x": 1}\n', "its lines have 'x'"),
        ("a.jsonl", b"[1]\n{\n", "holds no row that is an object"),
        ("a.jsonl", b'{"pred_box_xyxy_first": []}\n', "holds predictions of Ref-Adv"),
        ("a.txt", b"hello\n", "Charades-STA"),
        ("a.parquet", b"PAR1 no parquet", "cannot be read as Parquet"),
        ("a.p", b"no pickle", "pickle"),
        ("a.p", b"N.", "expected a list of references, found null"),
        ("a.p", b"].", "references need 'ann_id'"),
        ("a.jsonl", b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull"),
        ("a.json", b"\xff\xfe{}", "is not UTF-8"),
    ],
)
def test_a_file_that_is_none_is_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes | None, expected: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FormError) as caught:
        list(read_rows(path))
    assert expected in str(caught.value) and name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_first_row_that_is_bad_costs_itself_alone(tmp_path: Path) -> None:
    lines = ['{"normal_caption": ', {"normal_caption": "a dog"}, REF_ADV_ROW]
    readings = list(read_rows(write_lines(tmp_path / "a.jsonl", lines)))
    assert len(good(readings[2:])) == 1 and len(reasons(readings)) == 2
    readings = list(read_rows(write_json(tmp_path / "a.json", [7, {"x": 1}, REF_ADV_ROW])))
    assert len(good(readings[2:])) == 1 and len(reasons(readings)) == 2
    clips = {"a": 7, "b": {"caption": "x"}, "c": HCSTVG_CLIP}
    readings = list(read_rows(write_json(tmp_path / "h.json", clips)))
    assert len(good(readings[2:])) == 1 and len(reasons(readings)) == 2


def test_tracks_that_reach_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gt.txt"
    lines = [f"{frame},{track},0,0,1,1\n" for track in (1, 2) for frame in (1, 9_000_000)]
    path.write_text("".join(lines))
    with pytest.raises(FormError, match="reach over 18,000,000 frames"):
        read_mot(path, 25.0)


def test_a_form_that_was_asked_for_and_is_another_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", [ODVG_ROW])
    with pytest.raises(FormError, match=r"is odvg \(lines with .*\), not ref-adv"):
        read_rows(path, Form.REF_ADV)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    return [at, *(place for key in keys for place in _places(value[key], (*at, key)))]


def _replace(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[at[0]] = _replace(value[at[0]], at[1:], new)
    return copied


DOCUMENTS: dict[str, Any] = {
    "refs.json": REFERENCES,
    "instances.json": INSTANCES,
    "vidstg.json": VIDSTG,
    "vidor.json": VIDOR,
    "hcstvg.json": {"a.mp4": HCSTVG_CLIP},
    "mevis.json": MEVIS,
    "mask_dict.json": MEVIS_MASKS,
    "ref_adv.json": [REF_ADV_ROW],
    "odvg.json": [ODVG_ROW],
    "ms_swift.json": [
        {
            "messages": [{"role": "user", "content": "<ref-object><bbox>"}],
            "images": ["a.png"],
            "objects": {"ref": ["a dog"], "bbox": [[1, 2, 3, 4]], "image_id": [0]},
        }
    ],
    "timelens.json": {"v": {"duration": 9, "spans": [[1, 2]], "queries": ["he sits"]}},
    "vos.json": {
        "videos": {"v": {"expressions": {"0": {"exp": "a", "obj_id": "1"}}, "frames": ["00"]}}
    },
    "rows.json": [
        ReferringRow(
            source="a",
            row=1,
            row_id="1",
            form=Form.ROWS,
            expression="a dog",
            video="v",
            size_px=(3, 2),
            tubes=(
                Tube(
                    times_s=np.array([0.0]),
                    boxes_px=np.array([[0.0, 0, 2, 2]]),
                    present=np.array([True]),
                    observed=np.array([True]),
                    masks=(Mask((3, 2), (0, 6)),),
                ),
            ),
            span=Span(0, 1),
        ).to_dict()
    ],
}
READ_BY = {"vidor.json": "vidstg.json", "mask_dict.json": "mevis.json"}
"""Files that are read beside others."""


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_value_anywhere_gives_rows_or_typed_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    damaged = data.draw(st.sampled_from(sorted(DOCUMENTS)))
    place = data.draw(st.sampled_from(_places(DOCUMENTS[damaged])))
    document = _replace(DOCUMENTS[damaged], place, data.draw(JSON_VALUES))
    name = READ_BY.get(damaged, damaged)
    folder = tmp_path_factory.mktemp("fuzz")
    for beside in {name, "vidor.json", "mask_dict.json", "instances.json"}:
        write_json(folder / beside, document if beside == damaged else DOCUMENTS[beside])
    boxes = folder / "vidor.json" if name == "vidstg.json" else None
    try:
        readings = list(read_rows(folder / name, boxes=boxes, fps_hz=5))
    except FormError as error:
        assert "\n" not in str(error)
        return
    for reading in readings:
        if isinstance(reading, ReferringRow):
            assert reading.expression and (reading.image or reading.video)
            json.dumps(reading.to_dict(), allow_nan=False)
        else:
            assert reading.reason and "\n" not in str(reading)


def test_masks_that_do_not_fit_their_frame_are_told() -> None:
    for value, expected in (
        ({"size": [2, 2], "counts": [1, 9]}, "damaged"),
        ({"size": [2, 2], "counts": "\x01"}, "stand for no run"),
        ({"size": [2, 2], "counts": "n"}, "ends in the middle"),
        ({"size": [10**6, 10**6], "counts": "0"}, "the limit"),
        ({"size": [0, 2], "counts": []}, "[height, width]"),
        ({"size": [2, 2], "counts": [-1, 5]}, "damaged"),
        ({"size": [2, 2]}, "'counts' is missing"),
        ([], "an object"),
    ):
        with pytest.raises(BadRow) as caught:
            read_rle(value)
        assert expected in str(caught.value)


def test_trap_10_images_shared_between_splits_are_found(tmp_path: Path) -> None:
    google = [
        REFERENCES[0],
        {**REFERENCES[0], "ref_id": 9, "ann_id": 2, "split": "val"},
        {**REFERENCES[1], "ann_id": 4},
    ]
    write_json(tmp_path / "instances.json", INSTANCES)
    path = tmp_path / "refs(google).p"
    path.write_bytes(pickle.dumps(google, protocol=2))
    (shared,) = find_shared_media(good(list(read_rows(path))))
    assert str(shared) == "coco:7 is in train and val (4 rows)"


def test_trap_10_coco_2017_overlaps_references_under_another_name(tmp_path: Path) -> None:
    write_json(tmp_path / "instances.json", INSTANCES)
    path = tmp_path / "refs(unc).p"
    path.write_bytes(pickle.dumps(REFERENCES, protocol=2))
    train = {
        "images": [{"id": 8, "file_name": "train2017/000000000008.jpg", "width": 64, "height": 64}],
        "annotations": [{"id": 1, "image_id": 8, "category_id": 17, "bbox": [1, 1, 9, 9]}],
        "categories": INSTANCES["categories"],
    }
    training = good(list(read_rows(write_json(tmp_path / "train2017.json", train))))
    references = good(list(read_rows(path)))
    (shared,) = find_shared_media([*references, *training])
    assert shared.media == "coco:8" and shared.splits == (str(tmp_path / "train2017.json"), "val")
    assert find_shared_media(references) == ()


def test_trap_10_files_of_one_name_in_two_folders_are_two_splits(tmp_path: Path) -> None:
    paths = [tmp_path / name / "rows.jsonl" for name in ("train", "val")]
    for path in paths:
        path.parent.mkdir()
        write_lines(path, [REF_ADV_ROW])
    (shared,) = find_shared_media(row for path in paths for row in good(list(read_rows(path))))
    assert shared.splits == tuple(map(str, paths))


def test_a_line_of_megabytes_is_passed_over(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mmreason.grounding.formats.sources.MOST_LINE_BYTES", 2000)
    path = write_lines(tmp_path / "a.jsonl", [REF_ADV_ROW, "x" * 9000, REF_ADV_ROW])
    readings = list(read_rows(path))
    assert [reading.row for reading in readings] == [1, 2, 3]
    assert reasons(readings) == ["the line has more than the limit of 2,000 bytes"]
    assert detect_form(path).form is Form.REF_ADV
