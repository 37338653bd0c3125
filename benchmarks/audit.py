"""The knowledge audit of nano on choice questions about held-out worlds, and on the same questions
with a leak: the right option says so by its length.

    python benchmarks/audit.py --out benchmarks/results/audit.md

Takes about three minutes of one core.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mmreason.evaluation.nano import held_out_world
from mmreason.models import load
from mmreason.training.data.dialects.detect import read_samples
from mmreason.training.evaluation.problems import evaluate_problems
from mmreason.training.evaluation.settings import EvaluateSettings
from mmreason.training.evaluation.tables import audit_tables
from mmreason.training.evaluation.text_scores import answer_scorer
from mmreason.video.files import write_atomic
from mmreason.video.world.encode import write_video
from mmreason.video.world.questions import make_questions, with_options

WORLDS = 24
QUESTIONS_A_WORLD = 3
LEAK = " (this is what can be seen in the clip)"


def write_rows(folder: Path, worlds: int) -> tuple[Path, Path]:
    """Clips of held-out worlds, and two files of rows about them: as they are, and leaking."""
    rows = [row for index in range(worlds) for row in _rows_of_world(folder, index)]
    leaking = [row | {"options": _add_leak(row["options"], row["choice"])} for row in rows]
    files = folder / "plain.jsonl", folder / "leaking.jsonl"
    for file, lines in zip(files, (rows, leaking), strict=True):
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return files


def _rows_of_world(folder: Path, index: int) -> Iterator[dict[str, Any]]:
    world = held_out_world(index)
    clip = folder / f"{index}.mp4"
    write_video(world, clip)
    draw = random.Random(f"audit/{index}")
    questions = [with_options(q, draw) for q in make_questions(world, seed=index, least_s=0.6)]
    questions = [q for q in questions if len(q.options) > 1 and q.answer in q.options]
    for number, question in enumerate(questions[:QUESTIONS_A_WORLD]):
        yield {
            "id": f"{index}-{number}",
            "video": clip.name,
            "question": question.text,
            "options": list(question.options),
            "choice": question.options.index(question.answer),
            "spans": [span.to_list() for span in question.spans],
            "duration_s": world.duration_s,
            "kind": question.family,
        }


def _add_leak(options: list[str], choice: int) -> list[str]:
    return [text + LEAK if i == choice else text for i, text in enumerate(options)]


def build_page(folder: Path, worlds: int) -> str:
    """Markdown of both audits."""
    nano = load("nano")
    lines = [
        "# Knowledge audit",
        "",
        "`python benchmarks/audit.py --out benchmarks/results/audit.md`",
        "",
        f"Nano on choice questions about {worlds} held-out worlds, each asked in five ways; and on "
        "the same questions with a leak, where the right option is longer than the others. Nano "
        "reads no option of that form, and is right on none: there the rule that reads nothing "
        "finds the leak. The information gain is of the right letter, which nano does not write: "
        "it was taught to answer in words.",
    ]
    titles = ("As they are", "With the leak")
    for title, file in zip(titles, write_rows(folder, worlds), strict=True):
        read = read_samples(file)
        scores = evaluate_problems(
            read.samples,
            nano,
            EvaluateSettings(audit="full"),
            faults=read.faults,
            scorer=answer_scorer(nano),
        )
        assert scores.audit is not None
        lines += ["", f"## {title}", "", f"{scores.audit.questions} questions."]
        for table in audit_tables(scores.audit):
            lines += ["", f"**{table.title}**", ""]
            lines.append("| " + " | ".join(table.header) + " |")
            lines.append("|" + "---|" * len(table.header))
            lines += ["| " + " | ".join(row) + " |" for row in table.rows]
            if table.hint:
                lines += ["", table.hint]
    return "\n".join(lines) + "\n"


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        page = build_page(Path(folder), given.worlds)
    write_atomic(given.out, page.encode())
    print(page)


if __name__ == "__main__":
    main()
