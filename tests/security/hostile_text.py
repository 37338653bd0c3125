"""Texts that attack whoever shows them, and what a terminal or a page may show of them."""

from __future__ import annotations

import ast
import base64
import hashlib
import json
import re
import unicodedata
from pathlib import Path

import av
import numpy as np

from tests.report.parsed_page import ParsedPage

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = [ROOT / name for name in ("mmreason", "video", "grounding", "training")]

CONTROLS = ("\x1b]0;title\x07", "\x1b[45;97m", "\x9b31m", "\u202e", "\u2066", "\u200b", "\x00")
MARKUP = "[bold]MARK[/x] :smile: <script>alert(1)</script>"
EVIL = f"a{''.join(CONTROLS)}\udcff {MARKUP}"
"""A text with everything in it; half a surrogate pair is how Python names a byte of an argument or
of a file's name that is no UTF-8."""
EVIL_NAME = f"a{''.join(CONTROLS[:-1])}\udcff[bold]MARK [x]:smile:"
"""The same without what no name of a file can have."""
IN_TEXT = EVIL.replace("\udcff", "")
"""The same without what no UTF-8 file can hold."""
SUBTITLE_TEXT = IN_TEXT.replace("\x00", "")
"""The same without what makes a file binary."""

_OF_RICH = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")
"""What Rich writes itself: colours and moves. The colours of `CONTROLS` are none of its own."""


def assert_plain(text: str, *, is_terminal: bool = False) -> None:
    """Nothing hidden is in `text`, and no markup was taken for such."""
    text.encode()
    assert not [control for control in CONTROLS if control in text]
    text = _OF_RICH.sub("", text) if is_terminal else text
    hidden = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert hidden <= {"\n", "\t"}, hidden
    # In the address of a file brackets are escaped.
    marks = text.count("[bold]MARK") + text.count("%5Bbold%5DMARK")
    assert text.count("MARK") == marks, text
    assert "\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}" not in text


def make_clip(path: Path) -> Path:
    """Two seconds at 5 Hz, with a hostile title in the container."""
    with av.open(str(path), "w", format="mp4") as container:
        container.metadata["title"] = IN_TEXT.replace("\x00", "")
        stream = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            pixels = np.full((48, 64, 3), 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def assert_page(page: str) -> None:
    """Text is text, nothing runs, nothing is loaded, and a whole page forbids both."""
    assert_plain(page)
    parsed = ParsedPage(page)
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "iframe", "object", "form"}
    assert not [name for _, a in parsed.tags for name in a if name.startswith("on")]
    sources = [a.get("src") or "" for _, a in parsed.tags]
    assert all(source.startswith("data:image/") for source in sources if source)
    if "<html" in page:
        assert_policy(page)


def assert_script_page(page: str) -> None:
    """The same of a page with a script of ours: that one alone runs, known by its digest, and what
    it shows is data."""
    data, code = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert "<" not in data and "MARK" not in code
    texts = json.dumps(json.loads(data), ensure_ascii=False)
    assert_plain(texts)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    head, _, body = page.partition("</head>")
    rule = f"; script-src 'sha256-{digest}'"
    assert rule in head
    head = head.replace(rule, "").replace("; media-src 'self' file:", "")
    body = re.sub(r"<script.*?</script>", "", body, flags=re.DOTALL)
    # A player's source is the address of a file beside the page.
    body = re.sub(r'(<video id="mmr-video") src="(?![/\w+.-]*:)[^"]*"', r"\1", body)
    assert_page(f"{head}</head>{body}")


def assert_policy(page: str) -> None:
    head = page.partition("</head>")[0]
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', head)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    assert rules.items() <= {"img-src": "data:", "style-src": "'unsafe-inline'"}.items()
    assert head.index("Content-Security-Policy") < head.index(
        "<style>" if "<style>" in head else "<title>"
    )


def product_modules() -> list[Path]:
    """The product's modules, each once: three of the folders are linked into the fourth."""
    return sorted({file.resolve() for folder in FOLDERS for file in folder.rglob("*.py")})


def parse_module(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))
