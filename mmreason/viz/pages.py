"""The HTML around charts and tables: a document, or a fragment for somebody else's page.

Nothing from outside, one Content-Security-Policy for all; templates escape every value, and what a
reader cannot see in a text is U+FFFD. A body is one `<div class="mmr">`, the class that the styles
hang on. A document has no script but the one that is given with it, which the policy names by its
digest; its data stands beside it as JSON in which nothing can end the element.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mmreason.video.plain_text import show_text

if TYPE_CHECKING:
    from jinja2 import Environment


_IN_SCRIPTS = {ord(c): f"\\u{ord(c):04x}" for c in "<>&"}


@dataclass(frozen=True, slots=True)
class PageScript:
    """A script of a document, and what it shows.

    Example:
        >>> PageScript(("timeline.js",), {"title": "a talk"}).files
        ('timeline.js',)
    """

    files: tuple[str, ...]
    """Files of plain ASCII JavaScript, in the folder of the templates, put behind each other."""
    data: Mapping[str, Any]
    """JSON types only; the script finds it in the element `mmr-data`."""
    plays_videos: bool = False
    """Whether the page may play video files that lie beside it."""


@cache
def load_templates(package: str, folder: str) -> Environment:
    """The templates in `folder` of an installed package, beside those of this one."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=ChoiceLoader([PackageLoader(package, folder), PackageLoader("mmreason", "viz")]),
        autoescape=True,
        # A misspelt name in a template is an error, not an empty place.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render_document(
    templates: Environment,
    name: str,
    values: Mapping[str, object],
    *,
    title: str,
    width_rem: int,
    styles: Sequence[str] = (),
    script: PageScript | None = None,
) -> str:
    """The template `name` as a whole document. `styles` are templates with further rules."""
    code = "" if script is None else _read_code(templates, script.files)
    page = templates.get_template("document.html").render(
        title=title,
        body=templates.get_template(name).render(values),
        styles=styles,
        width_rem=width_rem,
        code=code,
        code_sha256=base64.b64encode(hashlib.sha256(code.encode()).digest()).decode(),
        data="" if script is None else encode_page_data(script.data),
        plays_videos=script is not None and script.plays_videos,
    )
    return show_text(page)


def _read_code(templates: Environment, files: Sequence[str]) -> str:
    assert templates.loader is not None
    code = "".join(templates.loader.get_source(templates, file)[0] for file in files)
    # The digest is of what the browser reads, so nothing may be rewritten on the way.
    assert code.isascii() and "</" not in code, "plain ASCII that does not end its element"
    return code


def encode_page_data(data: Mapping[str, Any]) -> str:
    """JSON for an element of a page: no `<` begins a tag in it, and what a reader cannot see in a
    text is U+FFFD.

    Example:
        >>> encode_page_data({"text": "</script>"})
        '{"text":"\\\\u003c/script\\\\u003e"}'
    """
    shown = _show_texts(data)
    text = json.dumps(shown, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate(_IN_SCRIPTS)


def _show_texts(value: Any) -> Any:
    # Before they are JSON: there a hidden character is an escape that the script would undo.
    if isinstance(value, str):
        return show_text(value)
    if isinstance(value, Mapping):
        return {key: _show_texts(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_show_texts(item) for item in value]
    return value


def render_fragment(
    templates: Environment, name: str, values: Mapping[str, object], *, styles: Sequence[str] = ()
) -> str:
    """The same as a `<div>`. Its rules reach nothing outside it, and none from there reach in."""
    body = templates.get_template(name).render(values)
    return show_text(templates.get_template("fragment.html").render(body=body, styles=styles))
