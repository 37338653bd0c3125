"""Watching a video as an environment of TRL: a text model calls tools, our `Toolbox` performs them.

    environments = make_environment_factory(find)
    GRPOTrainer(..., environment_factory=environments, reward_funcs=TrlReward(...))

TRL 1.16 makes an instance with no arguments for each rollout of a batch and uses it again: `reset`
gets the row of the data set and returns text that is put behind the prompt; every other public
method is a tool, whose schema comes from its signature and docstring. A `get_reward` would not be
shown the final answer, so there is none here: `TrlReward` scores the messages, with the visits of
the environment. Ill-formed calls raise, which TRL hands to the model as an error and counts.

What TRL does not do: it calls the tools of a batch one after another, so observers do not see
batches (share a `Store` between rollouts, to pay for each view once); and it has no budget but
`max_tool_calling_iterations` and `max_completion_length`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mmreason.agent.driver import finished, serve
from mmreason.memory.store import Store
from mmreason.memory.tree import NodeId, Tree, plan_tree
from mmreason.models.base import ChatModel
from mmreason.tool_calls import ToolCall
from mmreason.tools.calls import Roles
from mmreason.tools.scan import caption_call
from mmreason.tools.schema import make_call
from mmreason.tools.toolbox import Toolbox
from mmreason.types import Observation, UsageError
from mmreason.video.subtitles import Subtitles
from mmreason.video.types import FrameSource, format_time


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the tools work on for one row."""

    video: FrameSource
    observer: ChatModel
    tree: Tree
    store: Store
    """Shared by all rollouts: what was seen once costs nothing again."""
    subtitles: Subtitles | None = None


Find = Callable[[Mapping[str, Any]], Scene]
"""The scene of a row of the data set."""


def scene_of(video: FrameSource, observer: ChatModel, store: Store | None = None) -> Scene:
    """A video with the tree that suits its observer; what is seen is kept in memory without a
    store."""
    info = video.info
    interval_s = 1 / info.mean_fps_hz if info.mean_fps_hz > 0 else 0.0
    tree = plan_tree(info.span, leaf_s=observer.clip.leaf_s, frame_interval_s=interval_s)
    return Scene(video=video, observer=observer, tree=tree, store=store or Store.in_memory())


def scenes_by_video(
    observer: ChatModel, store: Store | None = None, *, column: str = "video"
) -> Find:
    """Scenes by the path in a column. Each video is opened once."""
    shared_store = store or Store.in_memory()
    scenes: dict[str, Scene] = {}

    def find(row: Mapping[str, Any]) -> Scene:
        path = row.get(column)
        if not isinstance(path, str) or not path:
            raise UsageError(f"each row needs the path of its video in {column!r}, got {path!r}")
        # Opening reads headers and plans a tree: once a file, not once a rollout.
        if path not in scenes:
            from mmreason.video import Video

            scenes[path] = scene_of(Video.open(path), observer, shared_store)
        return scenes[path]

    return find


def make_environment_factory(
    find: Find, *, opening: bool = True
) -> Callable[[], WatchingEnvironment]:
    """A value for TRL's `environment_factory`. With `opening` a rollout starts from captions of
    the tree's top level; else the model only learns how long the video is."""
    return lambda: WatchingEnvironment(find, opening)


class WatchingEnvironment:
    """One rollout at one video. Made by `make_environment_factory`."""

    def __init__(self, find: Find, opening: bool):
        self._find = find
        self._opening = opening
        self._scene: Scene | None = None
        self._toolbox: Toolbox | None = None
        self._visits: list[NodeId] = []
        """Nodes that were captioned, in order and with repeats, the opening left out."""
        self._calls = 0

    def reset(self, **row: Any) -> str:
        """Start on a row of the data set; returns what is put behind its prompt."""
        scene = self._scene = self._find(row)
        roles = Roles(scene.observer, scene.observer, scene.observer)
        # One model watches, verifies and answers tools: nothing here is a claim to be checked.
        self._toolbox = Toolbox(scene.video, roles, scene.store, subtitles=scene.subtitles)
        self._visits, self._calls = [], 0
        tree = scene.tree
        lines = [
            f"\nThe video is {tree.span.duration_s:.1f} s long. Its parts form a tree of depth "
            f"{tree.depth} with {tree.branching} children a node; the first part is node [1]."
        ]
        if self._opening:
            for node in tree.children() or (tree.node(()),):
                call = caption_call(node)
                start, end = (format_time(t) for t in (node.span.start_s, node.span.end_s))
                lines.append(f"{list(node.id)} {start} to {end}: {self._observe(call).text}")
        return "\n".join(lines)

    def caption(self, node: list[int]) -> str:
        """Describe one node of the tree.

        Args:
            node: Its id, such as [2, 1]; numbers count from 1.

        Returns:
            What can be seen there.
        """
        text = self._use("caption", {"node": node})
        # After the call: one that failed is no visit.
        self._visits.append(tuple(node))
        return text

    def look(self, start_s: float, end_s: float, question: str) -> str:
        """Look at one stretch of the video with a question.

        Args:
            start_s: Start of the stretch in seconds.
            end_s: End of the stretch in seconds.
            question: What is asked about it.

        Returns:
            The answer of the observer.
        """
        return self._use("look", {"start_s": start_s, "end_s": end_s, "question": question})

    def skim(self, start_s: float, end_s: float) -> str:
        """Describe any stretch of the video from few frames.

        Args:
            start_s: Start of the stretch in seconds.
            end_s: End of the stretch in seconds.

        Returns:
            What can be seen there.
        """
        return self._use("skim", {"start_s": start_s, "end_s": end_s})

    def search(self, text: str) -> str:
        """Find words in what has been described so far and in the subtitles.

        Args:
            text: The words.

        Returns:
            Lines that hold them, with their times.
        """
        return self._use("search", {"text": text})

    def _use(self, name: str, arguments: dict[str, Any]) -> str:
        if self._scene is None:
            raise UsageError("reset the environment before a tool is used")
        observation = self._observe(make_call(self._scene.tree, name, arguments))
        # Only calls that returned something count; the others raised.
        self._calls += 1
        return observation.text

    def _observe(self, call: ToolCall) -> Observation:
        assert self._toolbox is not None
        (observation,) = finished(serve(self._toolbox.perform([self._toolbox.prepare(call)])))
        if observation.error is not None:
            raise UsageError(f"{call.name}: {observation.error}")
        return observation


def conduct_of(environment: Any) -> tuple[tuple[NodeId, ...], int] | None:
    """(visits, calls that returned something) of a rollout; None for another's environment."""
    if not isinstance(environment, WatchingEnvironment):
        return None
    return tuple(environment._visits), environment._calls
