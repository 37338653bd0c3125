"""`docs/identities.md` links every identity to its tests. Run this file to write the links anew."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "docs" / "identities.md"
TEST = re.compile(r"^def test_identity_(\d\d)_(\w+)\(", re.MULTILINE)
ROW = re.compile(r"^\| (\d+) \|(.*)\|[^|]*\|$")
IDENTITIES = 52


def _tests() -> dict[int, list[str]]:
    """Number of an identity -> Markdown links to its tests, by file and order in it."""
    found: dict[int, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for number, name in TEST.findall(path.read_text(encoding="utf-8")):
            link = f"[`{name}`](../{path.relative_to(ROOT).as_posix()})"
            found.setdefault(int(number), []).append(link)
    return found


def _rewritten(text: str) -> str:
    """The page with the last column of every row from the tests there are."""
    tests = _tests()
    lines = []
    for line in text.splitlines():
        if row := ROW.match(line):
            links = tests.get(int(row[1]))
            line = f"| {row[1]} |{row[2]}| {', '.join(links) if links else 'not yet'} |"
        lines.append(line)
    return "\n".join(lines) + "\n"


def test_the_table_is_up_to_date() -> None:
    text = TABLE.read_text(encoding="utf-8")
    assert text == _rewritten(text), f"run: python {Path(__file__).relative_to(ROOT)}"


def test_every_identity_has_one_row_and_every_test_a_row() -> None:
    rows = [ROW.match(line) for line in TABLE.read_text(encoding="utf-8").splitlines()]
    numbers = [int(row[1]) for row in rows if row]
    assert numbers == list(range(1, IDENTITIES + 1))
    assert set(_tests()) <= set(numbers)


def test_the_column_follows_the_tests() -> None:
    row = "| 1 | VESPO | anything | [`gone`](../tests/gone.py) |"
    renewed = _rewritten(row)
    assert "gone" not in renewed
    assert "(../tests/training/objectives/test_objectives_vespo.py) |\n" in renewed


if __name__ == "__main__":
    TABLE.write_text(_rewritten(TABLE.read_text(encoding="utf-8")), encoding="utf-8")
