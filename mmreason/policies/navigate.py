"""Where to look next: a deterministic reading of the captions of the tree.

Strong lines are looked at, promising nodes are opened, then silent ones, then the rest. How well a
line matches is in `matching.py`, looking itself and judging answers in `greedy.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mmreason.language.question import split_context, without_alternatives
from mmreason.language.refusals import is_out_of_domain
from mmreason.language.text import extract_terms
from mmreason.memory.tree import Node, NodeId, Tree
from mmreason.policies.matching import STRONG_SCORE, Score, ScoredLine, line_of, scores_of
from mmreason.tools.views import CLIP_LEAVES, center_span
from mmreason.types import Note
from mmreason.video.types import Span

SAME_SCORE = 1e-9
CAPTIONS_PER_BRANCH = 8
"""Captions are read until they are this many times the branching of the tree."""


@dataclass(frozen=True, slots=True)
class OpenMove:
    """Read the captions of a node's children."""

    node: Node
    why: str


@dataclass(frozen=True, slots=True)
class LookMove:
    """Look at `span`; what matches around it is `evidence`."""

    span: Span
    evidence: Span
    why: str
    weak: bool = False
    """Whether words that captions use are missing here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A node that could be opened."""

    node: NodeId
    value: float
    """Of its best line."""
    leads: bool
    """Whether that line says that what is asked for lies in this node."""
    context_lines: int
    """Of its lines, those that show the when of the question."""
    start_s: float

    def sort_key(self) -> tuple[float, ...]:
        """The smallest first."""
        return (
            not self.leads,  # 1. nodes that a line leads to;
            0 if self.leads else len(self.node),  # 2. of the others, the upper levels;
            -self.value,  # 3. what matches best;
            -self.context_lines,  # 4. what shows the when of the question most often;
            -len(self.node),  # 5. the deepest node: closest to what matched;
            self.start_s,  # 6. the earliest.
        )


@dataclass
class Navigator:
    """Lines read so far and the next move. Pure bookkeeping."""

    tree: Tree
    question: str
    leaf_s: float
    lines: list[ScoredLine] = field(default_factory=list)
    reach: int | None = None
    """Nodes below this level are opened only where they match, not because they are silent."""
    shown_to: int | None = None
    """Stills of nodes on this level were chosen to show all that differs: these are not opened."""
    captions: set[NodeId] = field(default_factory=set)
    opened: set[NodeId] = field(default_factory=set)
    looked: set[int] = field(default_factory=set)
    """Lines that were looked at, by position."""
    blind: set[NodeId] = field(default_factory=set)
    """Nodes that were looked at without a line."""

    def __post_init__(self) -> None:
        core, context = split_context(self.question)
        self._core = extract_terms(without_alternatives(core))
        self._context = extract_terms(context)

    def add_caption(self, node_id: NodeId, notes: Sequence[Note]) -> None:
        """Take in the caption of a node, line by line; no notes where it could not be had.

        A node the model knows nothing about is not opened further.
        """
        self.captions.add(node_id)
        self._take(node_id, notes, self.tree.is_leaf(node_id))
        if notes and all(is_out_of_domain(note.text) for note in notes):
            self.opened.add(node_id)

    def add_lines(self, notes: Sequence[Note]) -> None:
        """Take in lines that belong to no node, such as subtitles."""
        self._take((), notes, True)

    def may_open(self) -> bool:
        """Whether more captions may be read."""
        limit = CAPTIONS_PER_BRANCH * self.tree.branching
        return len(self.captions) + self.tree.branching <= limit

    def next_move(self) -> OpenMove | LookMove | None:
        """The most promising move, or None when everything worth a look has been looked at."""
        if not self._core and not self._context:
            return self._blind_look()
        scores = self._scores()
        points = [i for i, line in enumerate(self.lines) if line.pinpointed]
        points = sorted((i for i in points if i not in self.looked), key=lambda i: -scores[i].value)
        # A line that holds all of it is looked at before more is read.
        if points and scores[points[0]].strong:
            return self._look(points[0], scores)
        move = self._open(scores)
        if move is not None:
            return move
        points = [i for i in points if scores[i].core > 0]
        # Once the when of the question was seen, lines of other times are not meant.
        if any(score.context_seen for score in scores):
            points = [i for i in points if scores[i].context_seen]
        if points:
            return self._look(points[0], scores)
        # Looks without a line are for videos whose captions match nothing at all.
        return None if self.looked else self._blind_look()

    def next_open(self) -> OpenMove | None:
        """The most promising node that may still be opened."""
        return self._open(self._scores())

    def strong_lines(self, *, whole: bool = False) -> list[tuple[LookMove, Note]]:
        """Pinpointed lines that hold all that is asked for, in order of time, each with a look;
        with `whole` all of it that captions tell at all, such as the star of "how does it move"."""
        scores = self._scores()
        strong = [
            i
            for i, line in enumerate(self.lines)
            if line.pinpointed and (scores[i].strong or (whole and scores[i].whole_here))
        ]
        strong.sort(key=lambda i: (self.lines[i].note.span.start_s, self.lines[i].note.span.end_s))
        return [(self._look(i, scores, alone=True), self.lines[i].note) for i in strong]

    def best_known(self) -> LookMove:
        """The best line so far, however weak; the whole video where none matches."""
        scores = self._scores()
        best = max(range(len(scores)), key=lambda i: (scores[i].value, i), default=None)
        if best is None or scores[best].value <= 0:
            return LookMove(self.tree.span, self.tree.span, "the whole video")
        return self._look(best, scores)

    def _open(self, scores: list[Score]) -> OpenMove | None:
        waiting = self._waiting_nodes(scores) if self.may_open() else []
        if not waiting:
            return None
        node, value = waiting[0]
        why = f"matches {value:.0%} of the question" if value else "its caption is silent"
        return OpenMove(self.tree.node(node), f"open {_name(node)}: {why}")

    def _take(self, node_id: NodeId, notes: Sequence[Note], leaf: bool) -> None:
        for note in notes:
            pinpointed = leaf or note.time_s is not None
            pinpointed |= note.span.duration_s <= CLIP_LEAVES * self.leaf_s
            self.lines.append(line_of(node_id, note, pinpointed))

    def _scores(self) -> list[Score]:
        return scores_of(self.lines, self._core, self._context)

    def _waiting_nodes(self, scores: list[Score]) -> list[tuple[NodeId, float]]:
        """Nodes that could be opened with their value: best first, then in order of time.

        Where the when of the question was seen somewhere, nodes without it are left out.
        """
        # 1. The scored lines of each node that has a caption and is not open yet.
        scored: dict[NodeId, list[tuple[Score, ScoredLine]]] = {node: [] for node in self.captions}
        for score, line in zip(scores, self.lines, strict=True):
            scored.get(line.node, []).append((score, line))
        waiting = {
            node: pairs
            for node, pairs in scored.items()
            if node not in self.opened and not self.tree.is_leaf(node)
        }
        # 2. Where the when of the question was seen somewhere, only nodes that show it.
        if any(score.context_seen for score in scores):
            waiting = {
                node: pairs
                for node, pairs in waiting.items()
                if any(score.context_seen for score, _ in pairs)
            }
        # 3. What the best line of each node says of the node, and whether it may be opened.
        candidates: list[_Candidate] = []
        for node, pairs in waiting.items():
            best, line = max(
                pairs, key=lambda pair: pair[0].value, default=(Score(0.0, None), None)
            )
            # A still that holds a part of what is asked for says little of what lies between the
            # stills: other nodes of its level come first. A caption of the whole does lead down.
            is_still = line is not None and line.note.time_s is not None
            leads = best.value >= STRONG_SCORE or (line is not None and not is_still)
            if not leads and self.reach is not None and len(node) > self.reach:
                continue
            if is_still and len(node) == self.shown_to:
                continue
            candidates.append(
                _Candidate(
                    node=node,
                    value=best.value,
                    leads=leads and best.value > 0,
                    context_lines=sum(score.context_seen for score, _ in pairs),
                    start_s=self.tree.node(node).span.start_s,
                )
            )
        # 4. Best first.
        candidates.sort(key=_Candidate.sort_key)
        return [(candidate.node, candidate.value) for candidate in candidates]

    def _look(self, index: int, scores: list[Score], *, alone: bool = False) -> LookMove:
        """A look at one line, unless `alone` with its neighbours of the same score; marks what it
        covers as looked at."""
        line = self.lines[index]
        run = [index] if alone else self._run(index, scores)
        first, last = self.lines[run[0]].note.span, self.lines[run[-1]].note.span
        evidence = Span(first.start_s, last.end_s)
        span = evidence
        if line.note.time_s is not None or len(run) > 1:
            middle = self.lines[run[len(run) // 2]].note
            time_s = middle.span.middle_s if middle.time_s is None else middle.time_s
            length_s = self.leaf_s if line.note.time_s is not None else middle.span.duration_s
            # Less than half a clip shows no movement: it goes on beyond what matched.
            wide = center_span(evidence.middle_s, self.leaf_s / 2, self.tree.span)
            room = wide if evidence.duration_s < wide.duration_s else evidence
            span = center_span(time_s, length_s, room)
        self.looked |= {
            i
            for i, other in enumerate(self.lines)
            if i in run or (other.pinpointed and other.note.span.overlap_s(span) > 0)
        }
        why = f"look at {span}: matches {scores[index].value:.0%} of the question"
        return LookMove(span, evidence, why, weak=not scores[index].whole)

    def _run(self, index: int, scores: list[Score]) -> list[int]:
        """Positions of the line and of its neighbours in time that match as well, in order."""
        line = self.lines[index]
        if scores[index].value <= 0:
            return [index]
        # 1. Lines of the same kind and the same score, in order of time.
        alike = [
            i
            for i, other in enumerate(self.lines)
            if self._side_by_side(other, line)
            and (other.note.time_s is None) == (line.note.time_s is None)
            and abs(scores[i].value - scores[index].value) < SAME_SCORE
        ]
        alike.sort(key=lambda i: self.lines[i].note.span.start_s)
        # 2. Of these, those that follow each other without a gap on both sides of the line.
        first = last = alike.index(index)
        while first > 0 and self._touch(alike[first - 1], alike[first]):
            first -= 1
        while last + 1 < len(alike) and self._touch(alike[last], alike[last + 1]):
            last += 1
        return alike[first : last + 1]

    def _side_by_side(self, line: ScoredLine, other: ScoredLine) -> bool:
        """Whether two lines never speak for the same time: those of a level, or of one scan."""
        stills = line.note.time_s is not None and other.note.time_s is not None
        return len(line.node) == len(other.node) or (self.reach is not None and stills)

    def _touch(self, before: int, after: int) -> bool:
        gap_s = self.lines[after].note.span.start_s - self.lines[before].note.span.end_s
        # Neighbours come from divisions: they meet up to rounding.
        return abs(gap_s) < 1e-3

    def _blind_look(self) -> LookMove | None:
        """No line says anything: the whole video, then the top nodes in order."""
        for node in (self.tree.node(()), *self.tree.children()):
            if node.id not in self.blind:
                self.blind.add(node.id)
                why = f"no caption matches; look at {_name(node.id)} itself"
                return LookMove(node.span, node.span, why)
        return None


def _name(node_id: NodeId) -> str:
    return "node " + ".".join(map(str, node_id)) if node_id else "the whole video"
