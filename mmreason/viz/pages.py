"""The HTML around charts and tables: a document, or a fragment for somebody else's page.

No script, nothing from outside, one Content-Security-Policy for all; templates escape every value,
and what a reader cannot see in a text is U+FFFD. A body is one `<div class="mmr">`, the class that
the styles hang on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from mmreason.video.plain_text import show_text

if TYPE_CHECKING:
    from jinja2 import Environment


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
) -> str:
    """The template `name` as a whole document. `styles` are templates with further rules."""
    body = templates.get_template(name).render(values)
    frame = templates.get_template("document.html")
    return show_text(frame.render(title=title, body=body, styles=styles, width_rem=width_rem))


def render_fragment(
    templates: Environment, name: str, values: Mapping[str, object], *, styles: Sequence[str] = ()
) -> str:
    """The same as a `<div>`. Its rules reach nothing outside it, and none from there reach in."""
    body = templates.get_template(name).render(values)
    return show_text(templates.get_template("fragment.html").render(body=body, styles=styles))
