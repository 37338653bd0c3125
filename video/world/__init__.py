"""Scripted worlds: videos whose truth is known.

`script` says what happens (JSON in, JSON out), `render` draws any frame at any time, `truth` and
`questions`
derive captions, boxes, tracks and questions with answers and evidence, `generate` writes seeded
scripts
within perceptual margins, `encode` writes H.264, `source` opens a script as a video that is drawn
on demand.
"""

from mmreason.video.world.script import World

__all__ = ["World"]
