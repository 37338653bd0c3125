"""How much of each actor a frame shows, counted in pixels: the truth's words are held to it."""

from __future__ import annotations

from mmreason.video.world import World
from mmreason.video.world.motion import presence_span
from mmreason.video.world.render import draw_frame
from mmreason.video.world.script import Actor, Scene


def visible_share(world: World, time_s: float, height_px: int = 120) -> dict[str, float]:
    """Share of each actor's own area that is seen at a time, 0..1 (less where hidden or cut by the
    frame)."""
    scene = world.scene_at(time_s)
    size_px = (round(height_px * world.aspect), height_px)
    areas = draw_frame(world, time_s, size_px).coverage.sum((1, 2))
    visible_shares = {}
    for actor, area in zip(scene.actors, areas, strict=True):
        if not presence_span(scene, actor).contains(time_s):
            continue
        # Edges are drawn smoothly, so that a shape off the pixel grid may cover a little more.
        visible_shares[actor.id] = min(1.0, float(area) / _full_area(world, actor, size_px))
    return visible_shares


def _full_area(world: World, actor: Actor, size_px: tuple[int, int]) -> float:
    """Pixels that an actor covers when it stands alone in the middle."""
    alone = actor.model_copy(update={"x": 0.5, "y": 0.5, "motion": type(actor.motion)()})
    scene = Scene(start_s=0.0, end_s=1.0, actors=(alone,))
    single = world.model_copy(update={"scenes": (scene,)})
    return float(draw_frame(single, 0.0, size_px).coverage.sum())
