"""Build the pages of this repository into build/docs/, without a network.

    python docs/build.py    # `make docs`; needs the extra `docs`

Pages keep their folders, so that a link which works in a checkout works on the site. What a page
links to and is none itself (a notebook, a test, a folder of results) becomes one. The Python
reference is read from the code. A broken link, or a name that is not there, fails the build.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "build" / "docs-pages"
SITE = ROOT / "build" / "docs"
WRITTEN = (
    "*.md",
    "CITATION.cff",
    "docs/*.md",
    "docs/*.png",
    "docs/pictures/*.svg",
    "benchmarks/results/*",
    "benchmarks/results/grounding/*",
    "benchmarks/results/senses/*",
    "mmreason/models/*/MODEL_CARD.md",
    "grounding/refadv/DATA_CARD.md",
)
"""Pages, and the pictures and tables beside them."""
ROOTS = ("mmreason", "video", "grounding", "training")
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)")
_FETCHED = re.compile(r"""(?:<link[^>]*\shref=|\ssrc=|url\()["']?((?:https?:)?//[^"')\s>]+)""")
_LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json"}


def gather_pages(pages: Path) -> None:
    """Lay the Markdown of the repository and what it links to into the empty folder `pages`."""
    for pattern in WRITTEN:
        for file in sorted(path for path in ROOT.glob(pattern) if path.is_file()):
            target = pages / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    write_reference(pages / "docs" / "reference")
    for page in sorted(pages.rglob("*.md")):
        folder = (ROOT / page.relative_to(pages)).parent
        text = page.read_text(encoding="utf-8")
        page.write_text(
            _LINK.sub(lambda link, at=folder: f"]({_page_of(link[1], at, pages)}", text),
            encoding="utf-8",
        )


def write_reference(folder: Path) -> None:
    """A page for each package, which the site fills from the code, and a list of them."""
    folder.mkdir(parents=True)
    names = list(package_names())
    for name in names:
        options = "    options:\n      show_submodules: true\n      heading_level: 1\n"
        (folder / f"{name}.md").write_text(f"::: {name}\n{options}", encoding="utf-8")
    lines = "".join(f"- [`{name}`]({name}.md)\n" for name in names)
    (folder / "index.md").write_text(f"# All packages\n\n{lines}", encoding="utf-8")


def package_names() -> Iterator[str]:
    """Import names of the packages below the four folders, but of `mmreason` itself."""
    for root in ROOTS:
        for init in sorted((ROOT / root).rglob("__init__.py")):
            parts = init.parent.relative_to(ROOT).parts
            name = ".".join(parts if root == "mmreason" else ("mmreason", *parts))
            if name != "mmreason" and not _passes_link(init):
                yield name


def _passes_link(file: Path) -> bool:
    return any(parent.is_symlink() for parent in file.parents if parent != ROOT)


def _page_of(link: str, folder: Path, pages: Path) -> str:
    """`link` of a page in `folder`, led to a page; which is written where there is none yet."""
    source = (folder / link).resolve()
    if not source.is_relative_to(ROOT):
        return link
    target = pages / source.relative_to(ROOT)
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        names = sorted(page.name for page in target.glob("*.md") if page.name != "index.md")
        lines = "".join(f"- [{name}]({name})\n" for name in names)
        (target / "index.md").write_text(f"# {link}\n\n{lines}", encoding="utf-8")
        return f"{link.rstrip('/')}/index.md"
    if not source.is_file() or target.is_file():
        return link
    target.parent.mkdir(parents=True, exist_ok=True)
    page = target.with_name(f"{target.name}.md")
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".ipynb":
        page.write_text("\n".join(notebook_blocks(json.loads(text))), encoding="utf-8")
    else:
        code = _fenced(text, _LANGUAGES.get(source.suffix, "text"))
        page.write_text(f"# {source.name}\n\n{code}", encoding="utf-8")
    return f"{link}.md"


def notebook_blocks(notebook: dict[str, Any]) -> Iterator[str]:
    """The cells of a notebook, and what they printed and showed, as Markdown."""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield f"{source}\n"
            continue
        yield _fenced(source, "python")
        for output in cell["outputs"]:
            yield _output_block(output)


def _output_block(output: dict[str, Any]) -> str:
    data = output.get("data", {})
    for kind in ("image/jpeg", "image/png"):
        if kind in data:
            return f'<img alt="" src="data:{kind};base64,{"".join(data[kind]).strip()}">\n'
    if "text/html" in data:
        # An empty line would end the block of HTML and read the rest as Markdown.
        lines = "".join(data["text/html"]).splitlines()
        return "<div>\n" + "\n".join(line for line in lines if line.strip()) + "\n</div>\n"
    return _fenced("".join(data.get("text/plain", output.get("text", []))), "text")


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{text.rstrip()}\n````\n"


def fetched_addresses(page: str) -> list[str]:
    """Addresses that a browser would fetch to show the HTML of `page`: there are to be none.

    Example:
        >>> fetched_addresses('<script src="https://cdn.example/a.js"></script>')
        ['https://cdn.example/a.js']
    """
    return _FETCHED.findall(page)


def main() -> None:
    """Gather the pages, build them and check that they stand alone; exits with 1 where not."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.rmtree(SITE, ignore_errors=True)
    gather_pages(PAGES)
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean"]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        sys.exit(1)
    for page in SITE.rglob("*.html"):
        if addresses := fetched_addresses(page.read_text(encoding="utf-8")):
            sys.exit(f"{page}: would fetch {addresses[0]}; a page shows what is beside it only")
    print(f"written: {SITE / 'docs' / 'index.html'}")


if __name__ == "__main__":
    main()
