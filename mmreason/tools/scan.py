"""Which frames a reading of a long video shows: those that a scan found to differ most.

`scan` is a tool without a model: it compares small frames of a stretch and its reply is kept in the
store like any other. Here are its calls, its replies, and the captions that are asked for with what
it found. Leaves out the comparing (`mmreason.video.content.salient`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmreason.memory.store import make_key
from mmreason.memory.tree import Node, NodeId, Tree
from mmreason.tool_calls import Caption, Scan, StillFrame
from mmreason.types import Cost, Note, Observation
from mmreason.video.content import salient
from mmreason.video.types import FrameSource, Span

LONG_LEAVES = 16
"""Videos of more leaves than this are scanned before they are read."""
FIRST_MOMENTS = 8
"""Shown of a node of the top level."""
MORE_MOMENTS = 4
"""Shown of each of its children, on average."""
MOMENT_LEVELS = 2
"""Levels of the tree whose captions show moments; those below show even frames."""

SCAN_THOUGHT = "find the frames that differ most"

Moments = Mapping[NodeId, Sequence[Note]]
"""What scans of nodes of the top level found, the most telling first."""


def is_long(tree: Tree) -> bool:
    """Whether even frames would be so far apart that events fall between them."""
    return tree.leaf_count > LONG_LEAVES


def scan_calls(tree: Tree) -> tuple[Scan, ...]:
    """A scan of each node of the top level."""
    count = FIRST_MOMENTS + MORE_MOMENTS * tree.branching
    return tuple(Scan(span=child.span, count=count) for child in tree.children())


def moments_seen(tree: Tree, seen: Sequence[Observation]) -> dict[NodeId, tuple[Note, ...]]:
    """What scans of the top level found, by node; nodes whose scan failed are left out."""
    pairs = zip(tree.children(), seen, strict=False)
    return {node.id: one.notes for node, one in pairs if one.error is None}


def caption_call(node: Node, found: Moments | None = None, *, again: bool = False) -> Caption:
    """The caption of a node: on the top level with the moments that differ most, below it with the
    others that lie in the node, or one frame where nothing more differs; elsewhere, and where there
    was no scan, with evenly spaced frames. With `again` nodes below the top level also show what
    their parent did: for those who go by what is said of each node."""
    stills: tuple[StillFrame, ...] = ()
    known = (found or {}).get(node.id[:1], ()) if len(node.id) <= MOMENT_LEVELS else ()
    if known:
        shown = known[:FIRST_MOMENTS]
        if len(node.id) == MOMENT_LEVELS:
            others = known if again else known[FIRST_MOMENTS:]
            inside = [n for n in others if node.span.contains(_time_s(n))]
            shown = inside or [Note(node.span, "", node.span.middle_s)]
        stills = tuple(StillFrame(_time_s(note), note.span) for note in shown)
    return Caption(span=node.watched, node=node.id, stills=stills)


def scan_key(call: Scan, content_hash: str) -> str:
    """Names what the reply to a scan depends on."""
    return make_key(
        content_hash=content_hash,
        fingerprint=f"scan: {salient.RECIPE}",
        prompt=str(call.count),
        clips=[((call.span.start_s, call.span.end_s), (0, 0))],
        max_new_tokens=0,
    )


def scanned(video: FrameSource, call: Scan) -> dict[str, Any]:
    """Perform a scan; returns what the store keeps of it. Raises VideoError."""
    found = salient.find_salient(video, call.span, call.count)
    rows = [[m.time_s, m.span.start_s, m.span.end_s] for m in found.moments]
    return {"frames": found.frames, "moments": rows}


def scan_seen(call: Scan, value: dict[str, Any], seconds: float, *, cached: bool) -> Observation:
    """What a scan tells: a note without text a moment, in order of how telling they are."""
    rows, frames = value["moments"], value["frames"]
    cost = Cost(frames_scanned=frames, decode_seconds=seconds, seconds=seconds)
    if cached:
        cost = Cost(cache_hits=1, seconds=seconds)
    return Observation(
        text=f"{frames:,} small frames compared, {len(rows)} that differ most",
        span=call.span,
        notes=tuple(Note(Span(start_s, end_s), "", time_s) for time_s, start_s, end_s in rows),
        cached=cached,
        cost=cost,
    )


def _time_s(note: Note) -> float:
    return note.span.middle_s if note.time_s is None else note.time_s
