"""Which frames a reading of a long video shows: those that a scan found to differ most.

`scan` is a tool without a model: it compares small frames of a stretch and its reply is kept in the
store like any other. Here are its calls, its replies, and the captions that are asked for with what
it found. The comparing itself is in `mmreason.video.content.salient`.
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


def group_by_node(tree: Tree, scans: Sequence[Observation]) -> dict[NodeId, tuple[Note, ...]]:
    """What scans of the top level found, by node; nodes whose scan failed are left out.

    Example:
        >>> tree = Tree(Span(0, 64), branching=4, depth=2)
        >>> scan = Observation(text="", span=Span(0, 16), notes=(Note(Span(2, 4), "", 3.0),))
        >>> group_by_node(tree, [scan])[(1,)][0].time_s
        3.0
    """
    pairs = zip(tree.children(), scans, strict=False)
    return {node.id: scan.notes for node, scan in pairs if scan.error is None}


def caption_call(
    node: Node, moments: Moments | None = None, *, parent_stills: bool = False
) -> Caption:
    """The caption of a node: on the top level with the moments that differ most, below it with the
    others that lie in the node, or one frame where nothing more differs; elsewhere, and where there
    was no scan, with evenly spaced frames. With `parent_stills` nodes below the top level also show
    what their parent did: for those who go by what is said of each node.

    Example:
        >>> tree = Tree(Span(0, 64), branching=4, depth=2)
        >>> str(caption_call(tree.node((1,))))
        'caption(span=0:00.00-0:16.00, node=(1,))'
    """
    stills: tuple[StillFrame, ...] = ()
    top_moments = (moments or {}).get(node.id[:1], ()) if len(node.id) <= MOMENT_LEVELS else ()
    if top_moments:
        chosen = list(top_moments[:FIRST_MOMENTS])
        if len(node.id) == MOMENT_LEVELS:
            # The parent's caption shows the first moments: its children show what is new.
            candidates = top_moments if parent_stills else top_moments[FIRST_MOMENTS:]
            chosen = [note for note in candidates if node.span.contains(_time_s(note))]
            chosen = chosen or [Note(node.span, "", node.span.middle_s)]
        stills = tuple(StillFrame(_time_s(note), note.span) for note in chosen)
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


def scan_video(video: FrameSource, call: Scan) -> dict[str, Any]:
    """Perform a scan; returns what the store keeps of it. Raises VideoError."""
    result = salient.find_salient(video, call.span, call.count)
    rows = [[m.time_s, m.span.start_s, m.span.end_s] for m in result.moments]
    return {"frames": result.frames, "moments": rows}


def to_scan_observation(
    call: Scan, value: dict[str, Any], seconds: float, *, cached: bool
) -> Observation:
    """What a scan tells: a note without text a moment, in order of how telling they are."""
    rows, frames = value["moments"], value["frames"]
    cost = Cost(frames_scanned=frames, decode_seconds=seconds, seconds=seconds)
    # Nothing was decoded: all that it cost is the look into the store.
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
