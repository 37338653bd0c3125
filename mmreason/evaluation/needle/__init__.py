"""Measuring and showing a search for events hidden in long scripted videos (`mmreason.needle`).

`metrics` says how well a search went, `baselines` answers without a search, `runner` measures and
`page` shows.
"""
