"""Drills: every turn is the one that the list calls for, in words that the policy reads."""

from __future__ import annotations

import random
import re

from hypothesis import given
from hypothesis import strategies as st

from mmreason.policies.base import Inquiry
from mmreason.policies.longvideo_r1_text import read_turn
from mmreason.training.nano.architecture import build_tokenizer
from mmreason.training.nano.config import Stage
from mmreason.training.nano.dialogues import drill_batch
from mmreason.training.nano.packing import IGNORED
from mmreason.training.navigation.drills import INNER_DEPTHS, drill
from mmreason.training.navigation.teacher import things_told
from mmreason.tree import plan_tree
from mmreason.video.types import Span

TREE = plan_tree(Span(0, 3600), leaf_s=3.0, depth=4)
INQUIRY = Inquiry(question="?", options=(), tree=TREE, leaf_s=3.0)
TURN = re.compile(r"<think>(.+): (.+)</think><(?:tool>(?:open|video_qa)\((\(.*?\))|answer>)")
CLIP = re.compile(r"\b(?:moves|stays|goes|bounces|then)\b")
"""In captions of clips, never of stills."""

drills = st.builds(
    lambda seed, level: drill(random.Random(seed), level),
    st.integers(0, 2**32),
    st.integers(1, HARDEST),
)


def _listed(user: str) -> dict[str, str]:
    """Node number to its line."""
    lines = [line for line in user.splitlines() if line.startswith("(")]
    return {line.partition(")")[0] + ")": line for line in lines}


def _fits(line: str, thing: str, word: str | None) -> list[str]:
    parts = [part for part in line.split(" / ") if word is None or word in part]
    return [name for part in parts for name in things_told(part, thing)]


@given(drills)
def test_a_turn_opens_the_first_node_that_tells_of_the_thing(turns):
    user, assistant = turns[0][1], turns[1][1]
    found = TURN.match(assistant)
    assert found is not None, assistant
    thing, clue, number = found.groups()
    word = re.search(r"while the word (\w+) is on the screen\?", user.splitlines()[0])
    listed = _listed(user)
    fits = {n: _fits(line, thing, word[1] if word else None) for n, line in listed.items()}
    right = [n for n, names in fits.items() if names]
    if right:
        assert (number, clue) == (right[0], fits[right[0]][0])
    else:
        named = [n for n, line in listed.items() if word is None or word[1] in line]
        assert number == named[0]
        assert clue == (f"no, {word[1]}" if word else "no")


@given(drills)
def test_turns_are_read_by_the_policy(turns):
    first = read_turn(turns[1][1], INQUIRY).calls[0]
    leaf = CLIP.search(turns[0][1].partition("(")[2]) is not None
    assert (first.name in ("look", "focus")) == leaf
    if leaf and len(turns) > 2:
        shown = turns[2][1].removeprefix("<information>").removesuffix("</information>")
        assert read_turn(turns[3][1], INQUIRY).answer == shown


def test_a_seed_gives_the_same_drill():
    assert drill(random.Random(5), nodes=4, things=2) == drill(random.Random(5), nodes=4, things=2)


def test_all_depths_and_both_ends_occur():
    """Matches and none, opened and looked at."""
    texts = [drill(random.Random(i), nodes=3, things=2)[1][1] for i in range(200)]
    for sign in (": no</think>", ": no, ", "<tool>open", "<tool>video_qa"):
        assert any(sign in text for text in texts), sign
    depths = {text.count(",", text.index("<tool>")) + 1 for text in texts if "open(" in text}
    assert depths == set(INNER_DEPTHS)


def test_a_batch_learns_the_assistants_turns(tiny_config):
    tokenizer = build_tokenizer(tiny_config)
    stage = Stage(share=1.0, image_share=0.0, drill_share=1.0, drill_nodes=3, drill_things=2)
    batch = drill_batch(random.Random(1), 4, stage, tokenizer)
    rng = random.Random(1)
    for row, turns in enumerate(drill(rng, nodes=3, things=2) for _ in range(4)):
        said = "".join(f"{text}<|im_end|>" for role, text in turns if role == "assistant")
        assert tokenizer.decode(batch.targets[row][batch.targets[row] != IGNORED]) == said
