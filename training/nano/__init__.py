"""The recipe of nano: a tiny Qwen3-VL trained on scripted worlds.

The packaged weights: `nano.json` from nothing, then `stills.json` from there (`--start`), taken
after 200 of its 300 steps, when words on stills were read, then `declines.json`, which teaches to
decline pictures of other kinds at any brightness. `half_truths.json` went on from the second of
these, and `reinforced.py` from there, taken after 100 of its 150 steps, when it was best on
held-out frames; `declines_reinforced.json` from there gave `nano-reinforced`.
`navigation_drills.json` went on from the second, too, with text, numbers in lists, and
`navigation_plays.json` from there with plays; these weights are not packaged
(`benchmarks/results/navigation.md`).

`nano-grounding` came from `nano` by `grounding.json` and from there by `grounding_more.json`.
"""
