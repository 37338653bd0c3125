"""The navigator by itself: what counts as weak, and how far a baseline goes."""

from __future__ import annotations

import pytest

from mmreason.agent.protocol import CallTools, CheckResult, CheckStatus, Claim, Inquiry, Results
from mmreason.agent.question import Question
from mmreason.memory.tree import Tree
from mmreason.policies import BreadthFirst
from mmreason.policies.navigate import LookMove, Navigator
from mmreason.types import Note, Observation
from mmreason.video.types import Span

TREE = Tree(Span(0, 64), 4, 2)


def looks_at(question: str, *told: str) -> list[tuple[str, bool]]:
    """(what the line says, whether the look at it is weak) in the order of the looks."""
    navigator = Navigator(TREE, question, leaf_s=4.0)
    for place, text in enumerate(told, start=1):
        middle_s = 16.0 * place - 8
        navigator.add_caption((place,), [Note(Span(middle_s - 2, middle_s + 2), text, middle_s)])
        navigator.opened.add((place,))
    found = []
    while isinstance(move := navigator.next_move(), LookMove):
        place = int(move.evidence.middle_s // 16)
        found.append((told[place], move.weak))
    return found


@pytest.mark.parametrize("unheard", ["", "velvet "])
def test_a_place_without_a_word_that_captions_use_is_weak(unheard):
    """Also where the question holds another word that no caption uses."""
    question = f"How does the striped {unheard}star move?"
    told = ("a plain star moves.", "a striped star moves.", "a striped square.", "a cross.")
    found = looks_at(question, *told)
    assert found[0] == ("a striped star moves.", False)
    assert dict(found[1:]) == {"a plain star moves.": True, "a striped square.": True}


def test_words_that_are_told_of_two_things_are_weak_for_one():
    (first, *_) = looks_at("What is the striped velvet star?", "a striped ring and a star.")
    assert first == ("a striped ring and a star.", True)


@pytest.mark.parametrize(("depth", "nodes"), [(1, 9), (2, 73), (3, 585), (4, 585)])
def test_breadth_first_looks_at_every_node_of_the_usual_trees(depth, nodes):
    tree = Tree(Span(0, 40_000), 8, depth)
    question = Question(video="world.json", text="Is it there?")
    play = BreadthFirst().play(Inquiry(question=question, tree=tree, leaf_s=4.0))
    action, spans = next(play), []
    with pytest.raises(StopIteration):
        while True:
            if isinstance(action, CallTools):
                spans.append(action.calls[0].span)
                action = play.send(Results((Observation(text="no", span=spans[-1]),)))
            else:
                assert isinstance(action, Claim) and action.negative
                action = play.send(CheckResult(CheckStatus.NEGATIVE))
    assert len(spans) == len(set(spans)) == nodes
    assert spans[0] == tree.span and spans[1].duration_s == pytest.approx(5_000)
