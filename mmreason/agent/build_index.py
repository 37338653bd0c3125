"""Captions of whole levels of the tree, made ahead of questions and kept in the store.

Questions find them there. Interrupting loses at most one call; running again goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mmreason.agent.driver import run_to_end, serve_requests
from mmreason.agent.protocol import CaptionNeeds
from mmreason.memory.tree import Node, NodeId, Tree
from mmreason.tool_calls import ToolCall
from mmreason.tools.scan import caption_call, is_long, scan_calls
from mmreason.tools.toolbox import Toolbox
from mmreason.types import Cost, Note, Observation, UsageError

LEVELS = ("high", "medium", "low")
"""Names of the levels of LongVideo-R1, from the top."""


@dataclass(frozen=True, slots=True)
class IndexedNode:
    """One node of an index that is being built."""

    node: Node
    seen: Observation
    done: int
    total: int

    @property
    def cost(self) -> Cost:
        return self.seen.cost


def list_level_nodes(tree: Tree, levels: tuple[str, ...]) -> tuple[Node, ...]:
    """The nodes of the named levels, from the top; levels a short video does not have are left out.
    UsageError for a name that is none.

    Example:
        >>> from mmreason.video.types import Span
        >>> tree = Tree(Span(0, 64), branching=4, depth=2)
        >>> len(list_level_nodes(tree, ("high", "medium")))
        20
    """
    unknown = [level for level in levels if level not in LEVELS]
    if unknown or not levels:
        raise UsageError(f"levels are {', '.join(LEVELS)}; got {', '.join(levels) or 'none'}")
    nodes: list[Node] = []
    level = [tree.node(())]
    for name in LEVELS[: tree.depth]:
        level = [child for node in level for child in tree.children(node.id)]
        nodes += level if name in levels else []
    return tuple(nodes)


def build_index(
    toolbox: Toolbox, tree: Tree, levels: tuple[str, ...], needs: CaptionNeeds
) -> Iterator[IndexedNode]:
    """Caption node by node what the store does not hold yet, as the policy that will ask `needs`
    it; a node that fails is told as it is and does not stop the rest."""

    def make_call(call: ToolCall) -> Observation:
        return run_to_end(serve_requests(toolbox.perform([toolbox.prepare(call)])))[0]

    nodes = list_level_nodes(tree, levels)
    moments: dict[NodeId, tuple[Note, ...]] = {}
    if needs.scan and is_long(tree):
        for node, call in zip(tree.children(), scan_calls(tree), strict=True):
            moments[node.id] = make_call(call).notes
    for done, node in enumerate(nodes, start=1):
        call = caption_call(node, moments, parent_stills=needs.parent_stills)
        yield IndexedNode(node, make_call(call), done, len(nodes))
