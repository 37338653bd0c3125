"""The recipe of nano: a tiny Qwen3-VL trained on scripted worlds.

The packaged weights: `nano.json` from nothing, then `stills.json` from there (`--start`), taken
after 200 of its 300 steps, when words on stills were read. `half_truths.json` goes on from these,
and `reinforced.py` from there: `nano-reinforced`, taken after 100 of its 150 steps, when it was
best on held-out frames. `navigation_drills.json` goes on from nano with text, numbers in
lists, and `navigation_plays.json` from there with plays; these weights are not packaged
(`benchmarks/results/navigation.md`).
"""
