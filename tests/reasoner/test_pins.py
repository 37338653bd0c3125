"""What must not move when code is renamed or moved: answers with their traces, and store keys.

A change that is meant to move them writes them anew: `python tests/reasoner/test_pins.py`.
"""

import hashlib
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.policies import BreadthFirst, Greedy, LongVideoR1, Oracle, RandomLeaf
from mmreason.reasoner import Reasoner
from mmreason.types import Budget
from mmreason.video.types import Span
from tests.reasoner.conftest import SCENES, FakeVideo, Thinker, navigates, truthful

PINS = Path(__file__).with_name("pins.json")
LONG = tuple(
    (20.0 * (i + 1), f"a {'red star' if i == 21 else 'green cross'} moves {side}.")
    for i, side in enumerate(("left", "right", "up", "down") * 9)
)
QUESTIONS = {
    "motion": ("How does the red star move?", None),
    "colour": ("What colour is the circle?", None),
    "presence": ("Is there a purple square?", None),
    "count": ("How many stars are there?", None),
    "whole": ("What is shown first?", None),
    "choice": ("How does the red star move?", ["it moves left", "it moves up", "it bounces"]),
}
POLICIES = {
    "greedy": Greedy(),
    "breadth_first": BreadthFirst(),
    "random_leaf": RandomLeaf(),
    "longvideo_r1": LongVideoR1(),
    "oracle": Oracle(spans=(Span(16.0, 32.0),)),
}
_VOLATILE = {"seconds", "decode_seconds", "model_seconds", "versions", "mmreason"}


def answers(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, answer and what the store holds after it), without times that the machine decides."""
    lines = folder / "lines.srt"
    lines.write_text("1\n00:00:20,000 --> 00:00:22,000\na red star moves\n", encoding="utf-8")
    for length, scenes in (("short", SCENES), ("long", LONG)):
        for policy_name, policy in POLICIES.items():
            for question_name, (question, options) in QUESTIONS.items():
                video = FakeVideo(scenes=scenes)
                store = folder / f"{length}_{policy_name}_{question_name}.sqlite3"
                reasoner = Reasoner(
                    Thinker(navigates),
                    observer=_watcher(video),
                    policy=policy,
                    store=Store.open(store),
                )
                answer = reasoner.ask(
                    video,
                    question,
                    options=options,
                    budget=Budget(frames=400, rounds=20),
                    subtitles=lines,
                )
                with closing(sqlite3.connect(store)) as connection:
                    rows = sorted(connection.execute("SELECT key, value FROM replies"))
                row = answer.to_dict()
                row["settings"]["policy"] = row["settings"]["policy"]["name"]
                whole = json.dumps(_without_volatile(row), sort_keys=True)
                yield (
                    f"{length} {policy_name} {question_name}",
                    {
                        "text": answer.text,
                        "steps": len(answer.trace),
                        "answer": _digest(whole.replace(str(folder), "")),
                        "store": [len(rows), _digest(repr(rows))],
                    },
                )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _watcher(video: FakeVideo) -> ScriptedModel:
    def script(text, batch):
        shown = video.seen_in(batch)
        return " ".join(shown) if text == "Describe the clip." else truthful(text, shown)

    clip = ClipRecipe(frames=8, size_px=(64, 32), leaf_s=4.0, reads_transcript=False)
    return ScriptedModel(script, clip=clip)


def _without_volatile(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_volatile(v) for k, v in value.items() if k not in _VOLATILE}
    if isinstance(value, list):
        return [_without_volatile(item) for item in value]
    return value


def test_answers_and_stored_replies_are_those_that_were_pinned(tmp_path):
    pinned = json.loads(PINS.read_text(encoding="utf-8"))
    computed = dict(answers(tmp_path))
    moved = [name for name, pin in pinned.items() if computed.get(name) != pin]
    assert not moved, f"if this is meant: python {__file__}"
    assert computed.keys() == pinned.keys()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        pins = dict(answers(Path(temporary)))
    PINS.write_text(json.dumps(pins, indent=1) + "\n", encoding="utf-8")
