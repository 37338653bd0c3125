"""Write the table of model families in docs/models.md, from tiny random models of each.

    python docs/families.py

Each row is measured on the processor of the family, as it is when a model is loaded.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "models.md"
TABLE = re.compile(r"(<!-- families -->\n).*?(<!-- end of families -->)", re.DOTALL)
_HEAD = (
    "| model type | frames go as | times are told | unlike clips in one prompt | boxes | "
    "`train rl` |\n|---|---|---|---|---|---|\n"
)
_BOXES = {
    "norm_1000": "0..1000",
    "norm_1000_yx": "0..1000, y first",
    "norm_1": "0..1",
    "seen_px": "pixels seen",
    "qwen2_vl": "its own tokens, 0..1000",
    "internvl": "its own tags, 0..1000",
    "glm_v": "its own tokens, 0..1000",
}


def table() -> str:
    """The rows as Markdown, by name of the family. Families whose packages are missing are left
    out, so that the table is written where all of them are installed."""
    from tests.fakes import tiny_families

    families = sorted(filter(tiny_families.can_be_made, tiny_families.ALL_FAMILIES))
    return _HEAD + "".join(_row(family) for family in families)


def _row(family: str) -> str:
    from tests.fakes import tiny_families

    model = tiny_families.chat(family)
    traits = model.traits
    if model.takes_video:
        times = "by its own format" if traits.tells_times else "in a line before each clip"
    else:
        times = "before each image" if traits.tells_times else "in a line before the images"
    unlike = [] if traits.stacks_uneven else ["other lengths or sizes: as images"]
    unlike += [] if traits.mixes_kinds else ["beside images: as images"]
    cells = (
        f"`{model.model.config.model_type}`",
        "clips" if model.takes_video else "single images",
        times,
        "; ".join(unlike) or "taken",
        _BOXES[str(model.clip.box_dialect)],
        "yes" if family in tiny_families.FAMILIES else "not tried",
    )
    return f"| {' | '.join(cells)} |\n"


def filled(page: str) -> str:
    """The page with the table of now."""
    return TABLE.sub(lambda found: found[1] + "\n" + table() + "\n" + found[2], page)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PAGE.write_text(filled(PAGE.read_text()))
