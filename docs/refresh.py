"""Fill the output blocks of README.md with what the commands and snippets print now.

    python docs/refresh.py            # demo, check, python, plan, long, card: some minutes
    python docs/refresh.py demo card  # these alone

Runs everything in an empty folder with a store of its own. The blocks `bench` and `test` are copied
by hand, from `mmreason bench decode` and `make test`, because these take long and mean something on
a quiet machine only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CARD = ROOT / "mmreason" / "models" / "nano" / "MODEL_CARD.md"
COMMANDS = {"demo": ("demo", "--short"), "check": ("demo", "--check", "10", "--seed", "691081")}
SNIPPETS = ("python", "plan", "long")
BY_HAND = ("bench", "test")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "print('<<<{}>>>')"


def snippets(readme: str) -> list[tuple[str, str]]:
    """(name of the output block that follows, or "", code) of every Python block, in order."""
    found = []
    for block in FENCE.finditer(readme):
        if block[1] == "python":
            follows = re.match(r"\n\n<!-- output:(\w+) -->", readme[block.end() :])
            found.append((follows[1] if follows else "", block[2]))
    return found


def problems(readme: str) -> str:
    """The example data set: what stands in its JSON block."""
    return next(body for kind, body in FENCE.findall(readme) if kind == "json")


def replaced(readme: str, name: str, lines: str) -> str:
    """`readme` with `lines` in its block `name`: a text block, or a table."""
    pattern = rf"(<!-- output:{name} -->\n\n)(```text\n.*?^```$|(?:\|[^\n]*\n)+)"
    is_table = lines.startswith("|")
    body = lines.rstrip("\n") + "\n" if is_table else f"```text\n{lines.rstrip()}\n```"
    new, count = re.subn(pattern, lambda m: m[1] + body, readme, flags=re.DOTALL | re.MULTILINE)
    if count != 1:
        raise SystemExit(f"README.md has {count} blocks <!-- output:{name} -->, expected 1")
    return new


def run_snippets(readme: str, folder: Path, *, left_out: str | None = None) -> dict[str, str]:
    """What each Python block prints, by the name of its output block; all but `left_out` run."""
    (folder / "train.jsonl").write_text(problems(readme), encoding="utf-8")
    parts = [
        code + "\n" + _MARK.format(name or "-") + "\n"
        for name, code in snippets(readme)
        if name != left_out
    ]
    (folder / "readme.py").write_text("\n".join(parts), encoding="utf-8")
    printed = _run(folder, "readme.py")
    pieces = re.split(r"<<<([\w-]+)>>>\n", printed)
    return dict(zip(pieces[1::2], pieces[0::2], strict=False))


def card_table(card: str) -> str:
    """Questions by family, for one scene and with a cut."""
    rows = re.findall(r"^\| .* \|$", card[card.index("| family |") :], re.MULTILINE)
    table = []
    for row in rows:
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) < 3:
            break
        name = {"family": "question", "before_after": "before/after"}.get(cells[0], cells[0])
        one = "one scene" if cells[1] == "single scene" else cells[1]
        table.append(f"| {name} | {one} | {cells[2]} |")
    return "\n".join(table) + "\n"


def _run(folder: Path, *arguments: str) -> str:
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "COLUMNS": "200",
    }
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return done.stdout


def main(names: list[str]) -> None:
    known = (*COMMANDS, *SNIPPETS, "card")
    if unknown := set(names) - set(known):
        raise SystemExit(f"no such block: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    wanted = names or list(known)
    readme = README.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="mmreason-readme-") as temporary:
        folder = Path(temporary)
        outputs = {
            name: _run(folder, "-m", "mmreason", *command)
            for name, command in COMMANDS.items()
            if name in wanted
        }
        if set(SNIPPETS) & set(wanted):
            outputs |= run_snippets(readme, folder)
    if "card" in wanted:
        outputs["card"] = card_table(CARD.read_text(encoding="utf-8"))
    for name in wanted:
        readme = replaced(readme, name, outputs[name])
    README.write_text(readme, encoding="utf-8")
    print(f"refreshed in README.md: {', '.join(wanted)}")


if __name__ == "__main__":
    main(sys.argv[1:])
