"""What questions will look for, made ahead of them and kept in the store: captions, the records of
a video's memory, its scenes.

Interrupting loses at most one call; running again goes on. A model of tier nano captions nodes of
the tree, which its policy reads; others describe leaves of half a minute, each as one structured
reply, and sum up scenes and the whole from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mmreason.agent.driver import run_to_end, serve_requests
from mmreason.agent.protocol import CaptionNeeds
from mmreason.agent.sum_up import sum_up
from mmreason.memory.caption_records import (
    INDEX_PROMPT,
    make_caption_records,
    make_still_record,
)
from mmreason.memory.hierarchy import group_scenes, make_root, make_scene
from mmreason.memory.store import Store
from mmreason.memory.tree import Node, NodeId, Tree
from mmreason.memory.video_memory import VideoMemory
from mmreason.models.base import ChatModel
from mmreason.tool_calls import Skim, ToolCall
from mmreason.tools.replies import merge_equal
from mmreason.tools.scan import caption_call, is_long, scan_calls
from mmreason.tools.toolbox import Toolbox
from mmreason.types import Cost, Note, Observation, UsageError
from mmreason.video.types import Span

LEVELS = ("high", "medium", "low")
"""Names of the levels of LongVideo-R1, from the top."""


@dataclass(frozen=True, slots=True)
class IndexStep:
    """One stretch of an index that is being built.

    Example:
        >>> step = IndexStep(Span(0, 30), Observation(text="a dog.", span=Span(0, 30)), 1, 120)
        >>> step.cost.frames
        0
    """

    span: Span
    observation: Observation
    done: int
    """Stretches until now, this one included."""
    total: int

    @property
    def cost(self) -> Cost:
        """Of this stretch."""
        return self.observation.cost


def list_level_nodes(tree: Tree, levels: Sequence[str]) -> tuple[Node, ...]:
    """The nodes of the named levels, from the top; levels a short video does not have are left out.
    UsageError for a name that is none.

    Example:
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


def caption_levels(
    toolbox: Toolbox, tree: Tree, levels: Sequence[str], needs: CaptionNeeds
) -> Iterator[IndexStep]:
    """Caption node by node what the store does not hold yet, as the policy that will ask `needs`
    it; a node that fails is told as it is and does not stop the rest."""
    nodes = list_level_nodes(tree, levels)
    moments: dict[NodeId, tuple[Note, ...]] = {}
    # The same scans as a question makes: the store knows captions by the frames they show.
    if needs.scan and is_long(tree):
        for node, call in zip(tree.children(), scan_calls(tree), strict=True):
            moments[node.id] = _perform(toolbox, call).notes
    for done, node in enumerate(nodes, start=1):
        call = caption_call(node, moments, parent_stills=needs.parent_stills)
        yield IndexStep(node.span, _perform(toolbox, call), done, len(nodes))


def caption_leaves(toolbox: Toolbox, leaves: Sequence[Span]) -> Iterator[IndexStep]:
    """Have each leaf described in one structured reply; those that fail do not stop the rest."""
    for done, span in enumerate(leaves, start=1):
        observation = _perform(toolbox, Skim(span=span), INDEX_PROMPT)
        yield IndexStep(span, observation, done, len(leaves))


def fill_memory(memory: VideoMemory, steps: Iterable[IndexStep], model: str) -> Iterator[IndexStep]:
    """Pass the steps on, each when its records are kept: what `model` told, and a frame of it."""
    for step in steps:
        notes = merge_equal(step.observation.notes)
        still = make_still_record(step.span, step.observation.frame_times_s)
        memory.add((*make_caption_records(notes, model), *still))
        yield step


def make_overview(
    memory: VideoMemory, model: ChatModel, store: Store, *, writes_sums: bool
) -> None:
    """Keep the scenes and the root of what the memory holds: summed up by `model` where
    `writes_sums`, else, and where it fails, drawn from the leaves."""
    leaves = memory.select_leaves("event")
    if not leaves:
        return
    groups = group_scenes(leaves)
    texts = sum_up(groups, model, store) if writes_sums else [""] * len(groups)
    scenes = [make_scene(group, text) for group, text in zip(groups, texts, strict=True)]
    # From the scenes' texts: all leaves of a long video would not fit one request.
    (text,) = sum_up([scenes], model, store) if writes_sums else [""]
    memory.replace_overview((make_root(scenes, text), *scenes))


def _perform(toolbox: Toolbox, call: ToolCall, caption_prompt: str = "") -> Observation:
    prepared = toolbox.prepare(call, caption_prompt=caption_prompt)
    return run_to_end(serve_requests(toolbox.perform([prepared])))[0]
