"""Boxes and points between the tokens of a family: tags, location tokens, patches, point tags."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mmreason.grounding.dialects.dialect import BoxNotation, Form
from mmreason.grounding.dialects.loose_json import find_loose_values
from mmreason.grounding.dialects.rows import NUMBER, Reading, Row, RowShape, add_row, read_rows

_TAG = re.compile(
    r"<\|object_ref_start\|>|<\|object_ref_end\|>|<\|box_start\|>|<\|box_end\|>"
    r"|</?ref>|</?box>|<\|/?ref\|>|<\|/?det\|>|</?phrase>|</?object>|</?point>"
)
_LABEL_OPENS = ("<|object_ref_start|>", "<ref>", "<|ref|>", "<phrase>")
_LABEL_CLOSES = ("<|object_ref_end|>", "</ref>", "<|/ref|>", "</phrase>")
_ROW_OPENS = ("<|box_start|>", "<box>", "<|det|>", "<object>", "<point>")
# Wrappers of a whole answer, which say nothing more: they are blanked out.
_WRAPPER = re.compile(r"<\|(?:begin|end)_of_box\|>|</?s>|<pad>|<grounding>|<\|im_end\|>|<seg\d{3}>")
_RUNS: dict[Form, re.Pattern[str]] = {
    "loc_": re.compile(r"(?:<loc_[0-9]{1,4}>\s{0,3})+"),
    "loc": re.compile(r"(?:<loc[0-9]{4}>\s{0,3})+"),
    "numbers": re.compile(r"(?:<[0-9]{1,3}>[\s,]{0,3})+"),
    "patches": re.compile(
        r"(?:(?:<patch_index_[0-9]{1,4}>|</delimiter_of_multi_objects/>)\s{0,3})+"
    ),
}
_DIGITS = re.compile(r"[0-9]+")
_PATCHES = 32
"""Patches a side."""
_POINT_TAG = re.compile(r"<points?\s([^<>]*+)>")
_ATTRIBUTE = re.compile(r'\b([a-z]{1,6})([0-9]{0,4})\s{0,3}=\s{0,3}"([^"]*+)"')
_NUMBER = re.compile(NUMBER)
_PAIRS = re.compile(
    rf"\(\s{{0,9}}({NUMBER})\s{{0,9}},\s{{0,9}}({NUMBER})\s{{0,9}}\)\s{{0,9}},?\s{{0,9}}"
    rf"\(\s{{0,9}}({NUMBER})\s{{0,9}},\s{{0,9}}({NUMBER})\s{{0,9}}\)"
)
_IN_BRACKETS = re.compile(
    rf"\(\s{{0,9}}({NUMBER}(?:\s{{0,9}},\s{{0,9}}{NUMBER}){{1,9}})\s{{0,9}}\)"
)
_BARE = re.compile(
    rf"(?:\w{{1,20}}\s{{0,3}}[:=])?\s{{0,9}}({NUMBER}(?:(?:\s{{0,9}},\s{{0,9}}|\s{{1,9}}){NUMBER}){{1,4}})\.?"
)
"""A whole answer of numbers without brackets."""
_OF_OTHERS: tuple[tuple[str, tuple[Form, ...], str], ...] = (
    ("<loc_...>", ("loc_",), r"<loc_[0-9]"),
    ("<loc....>", ("loc",), r"<loc[0-9]"),
    ("<patch_index_...>", ("patches",), r"<patch_index_[0-9]"),
    ("<n><n>", ("numbers",), r"<[0-9]{1,3}><[0-9]"),
    ("<point ...>", ("point tags", "coords tags"), r"<points?\s"),
)


@dataclass(frozen=True, slots=True)
class TokenFind:
    """What one run of tokens or pair of brackets holds, and where."""

    start: int
    end: int
    rule: str
    """tags, tokens, pairs or rows."""
    reading: Reading


def find_tokens(body: str, notation: BoxNotation, shape: RowShape) -> tuple[list[TokenFind], str]:
    """What stands between or in tokens, and the text with all of it blanked out."""
    body = _WRAPPER.sub(lambda match: " " * len(match[0]), body)
    finds = list(_between_tags(body, notation, shape))
    body = _blank(body, finds)
    if shape.count == 2:
        tags = list(_in_point_tags(body, notation, shape))
        finds, body = finds + tags, _blank(body, tags)
    if notation.form in _RUNS:
        runs = list(_in_runs(body, notation.form, shape))
        finds, body = finds + runs, _blank(body, runs)
    return finds, body


def find_bracket_rows(body: str, shape: RowShape) -> list[TokenFind]:
    """Rows in round brackets in prose: `(x1, y1), (x2, y2)` and `(x1, y1, x2, y2)`."""
    finds: list[TokenFind] = []
    if shape.count == 4:
        for match in _PAIRS.finditer(body):
            finds.append(_find(match.start(), match.end(), "pairs", [match.groups()], shape))
        body = _blank(body, finds)
    for match in _IN_BRACKETS.finditer(body):
        values = _NUMBER.findall(match[1])
        # Brackets around two or three numbers are prose where boxes are looked for.
        if len(values) >= shape.count:
            finds.append(_find(match.start(), match.end(), "rows", [values], shape))
    bare = None if finds else _BARE.fullmatch(body.strip())
    if bare is not None:
        find = _find(0, len(body), "rows", [_NUMBER.findall(bare[1])], shape)
        find.reading.note("repaired", "numbers without brackets")
        finds.append(find)
    return sorted(finds, key=lambda find: find.start)


def tokens_of_others(body: str, notation: BoxNotation) -> str | None:
    """Tokens in the text that another dialect declares, as people write them; None where there are
    none."""
    return next(
        (
            name
            for name, forms, pattern in _OF_OTHERS
            if notation.form not in forms and re.search(pattern, body)
        ),
        None,
    )


def _blank(body: str, finds: Sequence[TokenFind]) -> str:
    """The text with spaces in place of what was read, so that nothing is read twice."""
    parts, position = [], 0
    for find in sorted(finds, key=lambda find: find.start):
        parts += [body[position : find.start], " " * (find.end - find.start)]
        position = find.end
    return "".join([*parts, body[position:]])


def _find(
    start: int,
    end: int,
    rule: str,
    rows: Sequence[Sequence[object]],
    shape: RowShape,
    label: str = "",
) -> TokenFind:
    reading = Reading()
    for values in rows:
        add_row(values, shape, reading, Row((), label))
    return TokenFind(start, end, rule, reading)


def _between_tags(body: str, notation: BoxNotation, shape: RowShape) -> Iterator[TokenFind]:
    """One find a pair of tags; a label holds until the next one. One pass, so that tags that never
    close cost nothing."""
    label, label_start, open_tag = "", None, None
    for tag in _TAG.finditer(body):
        if open_tag is not None:
            yield _tagged(body, open_tag, tag.start(), label, notation, shape)
            open_tag = None
        if tag[0] in _LABEL_OPENS:
            label_start = tag.end()
        elif tag[0] in _LABEL_CLOSES and label_start is not None:
            label, label_start = " ".join(body[label_start : tag.start()].split()), None
        elif tag[0] in _ROW_OPENS:
            open_tag = tag
    if open_tag is not None:
        # The closing tag was cut off, or stripped by a server: prose may follow.
        end = min(len(body), open_tag.end() + 400)
        yield _tagged(body, open_tag, end, label, notation, shape)


def _tagged(
    body: str,
    opening: re.Match[str],
    end: int,
    label: str,
    notation: BoxNotation,
    shape: RowShape,
) -> TokenFind:
    content = body[opening.end() : end]
    if (runs := _RUNS.get(notation.form)) is not None and (run := runs.search(content)):
        find = _run(run, notation.form, shape, label)
        return TokenFind(opening.start(), end, "tokens", find.reading)
    reading = Reading()
    values, _ = find_loose_values(content)
    for value in values:
        inner = read_rows(value.value, shape)
        reading.rows += [Row(row.numbers, row.label or label, row.score) for row in inner.rows]
        reading.issues |= inner.issues
    if not values:
        pairs = [match.groups() for match in _PAIRS.finditer(content)] if shape.count == 4 else []
        for row in pairs or [_NUMBER.findall(content)]:
            add_row(row, shape, reading, Row((), label))
    return TokenFind(
        opening.start(), end, "pairs" if not values and "(" in content else "tags", reading
    )


def _in_runs(body: str, form: Form, shape: RowShape) -> Iterator[TokenFind]:
    """Runs of location tokens with the words beside them: before in Florence-2, after in
    PaliGemma."""
    runs = list(_RUNS[form].finditer(body))
    for index, run in enumerate(runs):
        if form == "loc":
            end = runs[index + 1].start() if index + 1 < len(runs) else len(body)
            label_text = re.split(
                r"[;\n]", body[run.end() : min(end, run.end() + 200)], maxsplit=1
            )[0]
        else:
            start = max(runs[index - 1].end() if index else 0, run.start() - 200)
            label_text = re.split(r"[;\n]", body[start : run.start()])[-1]
        yield _run(run, form, shape, " ".join(label_text.split()))


def _run(run: re.Match[str], form: Form, shape: RowShape, label: str) -> TokenFind:
    numbers = [int(digits) for digits in _DIGITS.findall(run[0])]
    if form == "patches":
        # A patch is two numbers: its column and its row.
        numbers = [n for index in numbers for n in (index % _PATCHES, index // _PATCHES)]
    rows = [numbers[i : i + shape.count] for i in range(0, len(numbers), shape.count)]
    return _find(run.start(), run.end(), "tokens", rows, shape, label)


def _in_point_tags(body: str, notation: BoxNotation, shape: RowShape) -> Iterator[TokenFind]:
    """`<point x= y= alt=>`, `<points x1= y1= ...>` and `<points coords="frame id x y id x y">`."""
    for tag in _POINT_TAG.finditer(body):
        attributes = {name + index: value for name, index, value in _ATTRIBUTE.findall(tag[1])}
        label = attributes.get("alt", "")
        if "coords" in attributes:
            numbers = _NUMBER.findall(attributes["coords"])[1:]
            rows: list[Sequence[object]] = [
                numbers[i + 1 : i + 3] for i in range(0, len(numbers), 3)
            ]
            label = label or body[tag.end() : tag.end() + 200].split("<", 1)[0].strip()
        else:
            indexes = [name[1:] for name in attributes if re.fullmatch(r"x[0-9]{0,4}", name)]
            rows = [
                _NUMBER.findall(f"{attributes['x' + i]} {attributes.get('y' + i, '')}")
                for i in indexes
            ]
        is_declared = ("coords" in attributes) == (notation.form == "coords tags")
        if notation.form in ("point tags", "coords tags") and is_declared:
            yield _find(tag.start(), tag.end(), "tags", rows, shape, label)
        else:
            reading = Reading()
            reading.note("no_box", "point tags of another dialect were not read")
            yield TokenFind(tag.start(), tag.end(), "tags", reading)
