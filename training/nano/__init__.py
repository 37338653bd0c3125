"""The recipe of nano: a tiny Qwen3-VL trained on scripted worlds.

The packaged weights: `nano.json` from nothing, then `stills.json` from there (`--start`), taken
after 200 of its 300 steps, when words on stills were read. `navigation.json` goes on with text
samples of plays; its weights are not packaged.
"""
