"""JSON of others is read within limits, and what is read can be written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmreason.video.json_input import MOST_DEPTH, JsonInputError, parse_json, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_what_json_writes_is_read_again(value):
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "brackets"),
        ('{"a":' * 100_000, "brackets"),
        ("[" * (MOST_DEPTH + 1) + "]" * (MOST_DEPTH + 1), "brackets"),
        ("[" + "9" * 400 + "]", "digits"),
        ("[NaN]", "NaN"),
        ("[-Infinity]", "Infinity"),
        ("[1e999]", "finite"),
        ("{", "is no JSON"),
        ("", "is no JSON"),
    ],
)
def test_beyond_a_limit_is_refused_in_one_line(text, said):
    with pytest.raises(JsonInputError, match=said) as caught:
        parse_json(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120


def test_bytes_are_counted_and_decoded():
    assert parse_json(b'\xef\xbb\xbf"a"') == "a"
    with pytest.raises(JsonInputError, match="not UTF-8"):
        parse_json(b'"\xff"')
    with pytest.raises(JsonInputError, match="limit is 10"):
        parse_json("1" * 11, most_bytes=10)


def test_brackets_inside_strings_are_no_depth():
    text = json.dumps({"a": "[" * 1000 + '\\"{' * 1000})
    assert parse_json(text) == json.loads(text)


@pytest.mark.parametrize("text", [r'"\ud800"', r'{"\udfff": "\ud83d"}', r'["\ud83d\ude00"]'])
def test_everything_read_can_be_written(text):
    json.dumps(parse_json(text), ensure_ascii=False).encode()


def test_only_so_much_of_a_file_is_read(tmp_path):
    large = tmp_path / "large.json"
    with large.open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(JsonInputError, match="limit"):
        read_json(large)
    with pytest.raises(JsonInputError, match="regular"):
        read_json(tmp_path)
