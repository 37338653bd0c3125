"""Asks a reader the held-out questions, and writes the page of all readers.

python -m mmreason.training.reader.measure ask untrained --out build/reader
python -m mmreason.training.reader.measure ask line-picker --out build/reader
python -m mmreason.training.reader.measure ask sft-0 --adapter sft-0.safetensors --out build/reader
python -m mmreason.training.reader.measure page --out build/reader

Replies are kept in OUT, one file a reader: asking goes on where it ended.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from mmreason.tools.text_embedder import load_embedder
from mmreason.training.reader.arms import (
    Reader,
    batches,
    line_picker,
    line_quoter,
    taught_reader,
    untrained_reader,
)
from mmreason.training.reader.figures import (
    ScoredReply,
    compare,
    score_reply,
    write_families,
    write_table,
)
from mmreason.training.reader.question_sets import (
    AskedQuestion,
    hard_questions,
    held_out_questions,
    narrated_questions,
)
from mmreason.weights import find_weights

HELD_OUT, HARD, NARRATED = 150, 105, 60
"""Questions of each set."""
SETS = ("held out", "hard", "narrated")


def select_questions() -> list[AskedQuestion]:
    """The questions of all sets, dealt in turn, so that those of a broken run are a sample."""
    sets = (held_out_questions(HELD_OUT), hard_questions(HARD), narrated_questions(NARRATED))
    dealt = [
        (i / len(asked), number, a)
        for number, asked in enumerate(sets)
        for i, a in enumerate(asked)
    ]
    return [asked for _, _, asked in sorted(dealt, key=lambda item: item[:2])]


def ask_reader(read: Reader, questions: Sequence[AskedQuestion], file: Path, most: int) -> None:
    """Have the first `most` questions answered, and keep each reply in `file`."""
    answered = {row["id"] for row in _read_rows(file)}
    waiting = [asked for asked in questions[:most] if asked.id not in answered]
    for batch in batches(waiting):
        started = time.perf_counter()
        replies = read(batch)
        seconds = (time.perf_counter() - started) / len(batch)
        with file.open("a", encoding="utf-8") as out:
            for asked, reply in zip(batch, replies, strict=True):
                row = {
                    "id": asked.id,
                    "question": asked.question.text,
                    "truth": asked.question.reply,
                    "reply": reply,
                    "seconds": round(seconds, 2),
                }
                out.write(json.dumps(row) + "\n")
        print(f"{asked.id}: {seconds:.1f} s a question", flush=True)


def write_page(folder: Path, against: str) -> str:
    """Tables of all readers in a folder, over the questions that all of them answered, and by how
    much the reader `against` is better than each other one. KeyError where it is not among them."""
    replies = {
        file.stem: {row["id"]: row["reply"] for row in _read_rows(file)}
        for file in sorted(folder.glob("*.jsonl"))
    }
    shared = set.intersection(*(set(by_id) for by_id in replies.values()))
    questions = [asked for asked in select_questions() if asked.id in shared]
    parts: list[str] = []
    for name in SETS:
        asked = [a for a in questions if a.set_name == name]
        scored: dict[str, list[ScoredReply]] = {
            reader: [score_reply(a, by_id[a.id]) for a in asked]
            for reader, by_id in replies.items()
        }
        absent = sum(a.question.is_absent for a in asked)
        parts.append(f"## {name}: {len(asked)} questions, {absent} without an answer")
        parts.append(write_table(scored))
        if name == "hard":
            parts.append(write_families(scored))
        differences = [
            f"- {against} against {reader}, all in all: {compare(scored[reader], scored[against])}"
            " points"
            for reader in scored
            if reader != against
        ]
        parts.append("\n".join(differences))
    return "\n\n".join(parts) + "\n"


def _read_rows(file: Path) -> list[dict[str, str]]:
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Ask one reader, or write the page."""
    parser = argparse.ArgumentParser(description="Asks a reader, and writes the page of all.")
    verbs = parser.add_subparsers(dest="verb", required=True)
    ask = verbs.add_parser("ask", help="Have a reader answer.")
    ask.add_argument("reader", help="untrained, line-picker, line-quoter, or a name for --adapter")
    ask.add_argument("--adapter", type=Path)
    ask.add_argument("--model", type=Path, help="Folder of the base; default: the fetched one.")
    ask.add_argument("--embedder", default="minilm-l6")
    ask.add_argument("--most", type=int, default=HELD_OUT + HARD + NARRATED)
    page = verbs.add_parser("page", help="Write the tables to standard output.")
    page.add_argument("--against", default="sft-0", help="The reader that others are held against.")
    for verb in (ask, page):
        verb.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    if arguments.verb == "page":
        print(write_page(arguments.out, arguments.against))
        return
    folder = arguments.model or find_weights("smollm2-135m")
    if arguments.adapter is not None:
        read = taught_reader(folder, arguments.adapter)
    elif arguments.reader == "line-picker":
        read = line_picker(folder, load_embedder(arguments.embedder))
    elif arguments.reader == "line-quoter":
        read = line_quoter(load_embedder(arguments.embedder))
    elif arguments.reader == "untrained":
        read = untrained_reader(folder)
    else:
        parser.error("give --adapter, or one of untrained, line-picker and line-quoter")
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / f"{arguments.reader}.jsonl"
    ask_reader(read, select_questions(), file, arguments.most)


if __name__ == "__main__":
    main()
