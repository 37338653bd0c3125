"""The `ground` of the agent's own tools: one frame, or eight of a stretch."""

from __future__ import annotations

import pytest

from mmreason.memory.store import Store
from mmreason.models.base import ClipRecipe
from mmreason.models.scripted import ScriptedModel
from mmreason.tool_calls import GroundFrame
from mmreason.tools.calls import Roles
from mmreason.tools.loop_tools import LOOP_TOOLS, AskedVideo
from mmreason.tools.schema import call_tool
from mmreason.types import UsageError
from mmreason.video.reader import Video
from mmreason.video.types import Span
from mmreason.video.world.script import Scene, World

VIDEO = AskedVideo(Span(0, 60), "Where is the dog?")


def make(**arguments: object) -> GroundFrame:
    call = call_tool(LOOP_TOOLS, VIDEO, "ground", {"expression": "the dog", **arguments})
    assert isinstance(call, GroundFrame)
    return call


def test_one_time_is_one_frame():
    call = make(time_s=8.5)
    assert call.times_s == (8.5,) and call.span.contains(8.5)


def test_a_tube_is_eight_frames_of_a_stretch():
    call = make(want="tube", start_s=20, end_s=36)
    assert call.span == Span(20, 36)
    assert call.times_s == tuple(21.0 + 2 * i for i in range(8))
    assert make(want="tube").span == Span(0, 60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "give time_s"),
        ({"time_s": 99}, "outside the video"),
        ({"want": "tube", "time_s": 3}, "time_s goes with want box"),
        ({"want": "tube", "start_s": 70, "end_s": 80}, "outside the video"),
        ({"want": "cube"}, "want"),
    ],
)
def test_a_call_that_cannot_be_made_tells_the_model_why(arguments, message):
    with pytest.raises(UsageError, match=message):
        make(**arguments)


def test_each_of_the_eight_frames_is_asked_about_by_itself(tmp_path):
    from mmreason.agent.driver import run_to_end, serve_requests
    from mmreason.tools.toolbox import Toolbox

    world = World(scenes=(Scene(start_s=0, end_s=8),), width_px=32, height_px=18)
    model = ScriptedModel(lambda text, frames: "[]", clip=ClipRecipe(frames=4, leaf_s=4.0))
    with Video.open(world.save(tmp_path / "empty.json")) as video:
        toolbox = Toolbox(video, Roles(model, model, model), Store.in_memory())
        times_s = tuple(i + 0.5 for i in range(8))
        call = GroundFrame(span=Span(0, 8), times_s=times_s, expression="dog")
        run = toolbox.perform([toolbox.prepare(call)])
        (observation,) = run_to_end(serve_requests(run))
    assert observation.error is None and model.calls == model.frames == 8
    assert len(observation.notes) == 8
