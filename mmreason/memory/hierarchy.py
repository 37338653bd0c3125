"""Leaves of about half a minute, scenes of neighbouring leaves that tell alike, one root. Pure.

What a scene and the root say is drawn from their leaves where no model sums them up.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from mmreason.memory.records import MOST_TEXT_CHARACTERS, ROOT, SCENE, MemoryRecord
from mmreason.memory.terms import extract_query_terms
from mmreason.video.types import Span

LEAF_S = 30.0
SNAP_SHARE = 0.3
"""How far a bound between leaves may move to a cut, as a share of a leaf."""
SCENES_PER_ROOT_OF_LEAVES = 1.3
"""A video of n leaves has this times the square root of n scenes: an overview stays short, and so
does a scene."""
LONGEST_SHARE = 3.0
"""How many times the usual count of leaves a scene may hold, however alike they are."""
SCENE_CHARACTERS = 400
ROOT_CHARACTERS = 1_200
"""Of what is drawn from leaves and scenes where no model sums them up."""
_SENTENCE = re.compile(r".*?(?:[.!?\u3002\uff01\uff1f\u2026]+(?=\s|$|[^\s\x00-\x7f])|$)", re.DOTALL)


def plan_leaves(span: Span, cuts_s: Sequence[float] = ()) -> tuple[Span, ...]:
    """Leaves of about `LEAF_S` that tile a video; bounds move to near cuts between shots.

    Example:
        >>> plan_leaves(Span(0, 70), cuts_s=[41.0])
        (Span(start_s=0, end_s=41.0), Span(start_s=41.0, end_s=70))
    """
    count = max(1, round(span.duration_s / LEAF_S))
    step_s = span.duration_s / count
    bounds_s = [span.start_s]
    for i in range(1, count):
        even_s = span.start_s + i * step_s
        near_s = min(cuts_s, key=lambda cut_s: abs(cut_s - even_s), default=even_s)
        bounds_s.append(near_s if abs(near_s - even_s) <= SNAP_SHARE * step_s else even_s)
    bounds_s.append(span.end_s)
    return tuple(map(Span, bounds_s[:-1], bounds_s[1:]))


def group_scenes(leaves: Sequence[MemoryRecord]) -> tuple[tuple[MemoryRecord, ...], ...]:
    """The leaves, in order of time, in groups of neighbours: parted where what they tell changes
    most.

    Example:
        >>> texts = ["a chef cooks", "the chef cooks soup", "a train", "the train leaves"]
        >>> leaves = [MemoryRecord("event", Span(i, i + 1), t, "f") for i, t in enumerate(texts)]
        >>> [len(group) for group in group_scenes(leaves)]
        [2, 2]
    """
    count = max(1, round(SCENES_PER_ROOT_OF_LEAVES * math.sqrt(len(leaves))))
    # Fewer have no bound that leaves two of them on both sides.
    if len(leaves) < 4:
        return (tuple(leaves),) if leaves else ()
    # 1. The weakest bounds between neighbours, by the words on their two sides; none beside
    #    another, so that no scene is one leaf.
    terms = [_count_terms(leaf.text) for leaf in leaves]
    likeness = {
        i: _compare_terms(terms[max(0, i - 2) : i], terms[i : i + 2])
        for i in range(2, len(leaves) - 1)
    }
    bounds: set[int] = set()
    for i in sorted(likeness, key=lambda i: (likeness[i], i)):
        if len(bounds) == count - 1:
            break
        if not bounds & {i - 1, i + 1}:
            bounds.add(i)
    # 2. Scenes that are much too long are cut evenly.
    most = math.ceil(LONGEST_SHARE * len(leaves) / count)
    groups: list[tuple[MemoryRecord, ...]] = []
    for start, end in itertools.pairwise([0, *sorted(bounds), len(leaves)]):
        pieces = math.ceil((end - start) / most)
        edges = [start + (end - start) * k // pieces for k in range(pieces + 1)]
        groups += [tuple(leaves[a:b]) for a, b in itertools.pairwise(edges)]
    return tuple(groups)


def make_scene(group: Sequence[MemoryRecord], text: str = "") -> MemoryRecord:
    """The scene of a group of leaves; without a text of its own it says what they begin with."""
    return _make_upper(group, SCENE, text or draw_text(group, SCENE_CHARACTERS))


def make_root(scenes: Sequence[MemoryRecord], text: str = "") -> MemoryRecord:
    """The whole video from its scenes, in the same way."""
    return _make_upper(scenes, ROOT, text or draw_text(scenes, ROOT_CHARACTERS))


def make_hierarchy(leaves: Sequence[MemoryRecord]) -> tuple[MemoryRecord, ...]:
    """Root and scenes of these leaves, drawn from what they say, the root first; empty without
    leaves."""
    scenes = tuple(make_scene(group) for group in group_scenes(leaves))
    return (make_root(scenes), *scenes) if scenes else ()


def draw_text(records: Sequence[MemoryRecord], most_characters: int) -> str:
    """The first sentence of each of the records, without repetitions, evenly shortened to fit.

    Example:
        >>> leaf = MemoryRecord("event", Span(0, 9), "A dog runs. It is brown.", "frames")
        >>> draw_text([leaf, leaf], 100)
        'A dog runs.'
    """
    sentences = list(dict.fromkeys(_first_sentence(record.text) for record in records))
    # Where all do not fit, some of them whole say more than all of them cut short.
    room = max(1, most_characters // 60)
    if len(sentences) > room:
        sentences = [sentences[i * len(sentences) // room] for i in range(room)]
    # Sentences are parted by a blank, for which each gives up a character.
    each = (most_characters + 1) // max(1, len(sentences)) - 1
    return " ".join(_shorten(sentence, each) for sentence in sentences)


def measure_covered_s(records: Sequence[MemoryRecord]) -> float:
    """Seconds of the video that the records speak of, each second once.

    Example:
        >>> spans = [Span(0, 30), Span(20, 40), Span(60, 70)]
        >>> measure_covered_s([MemoryRecord("event", s, "x", "frames") for s in spans])
        50.0
    """
    covered_s = 0.0
    end_s = -math.inf
    for span in sorted((r.span for r in records), key=lambda span: span.start_s):
        covered_s += max(0.0, span.end_s - max(span.start_s, end_s))
        end_s = max(end_s, span.end_s)
    return covered_s


def _make_upper(parts: Sequence[MemoryRecord], level: int, text: str) -> MemoryRecord:
    first = parts[0]
    # A longer record may end after the last one.
    span = Span(first.span.start_s, max(r.span.end_s for r in parts))
    return replace(first, channel="event", span=span, text=text[:MOST_TEXT_CHARACTERS], level=level)


def _count_terms(text: str) -> Counter[str]:
    return Counter(term.stem or term.exact for term in extract_query_terms(text))


def _compare_terms(before: Sequence[Counter[str]], after: Sequence[Counter[str]]) -> float:
    """The cosine of the words of two neighbourhoods, 0..1."""
    left, right = sum(before, Counter[str]()), sum(after, Counter[str]())
    dot = sum(count * right[term] for term, count in left.items())
    norm = math.hypot(*left.values()) * math.hypot(*right.values())
    return dot / norm if norm else 0.0


def _first_sentence(text: str) -> str:
    line = " ".join(text.split())
    match = _SENTENCE.match(line)
    return match.group().strip() if match else line


def _shorten(text: str, most_characters: int) -> str:
    if len(text) <= most_characters:
        return text
    return text[: max(1, most_characters - 1)].rstrip() + "\N{HORIZONTAL ELLIPSIS}"
