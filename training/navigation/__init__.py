"""Teaches a text policy to navigate: supervised plays of `LongVideoR1` over scripted long videos.

`observer` tells what a video shows without pixels, `teacher` knows where the answer is,
`demonstrations` keeps the correct plays with the fewest hints, `samples` writes them as JSON lines,
`exercises` are single decisions on made-up lists, `task` has the same plays for reinforcement, and
`measure` says how well a model navigates videos it was not taught on.
"""
