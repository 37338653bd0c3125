"""The needle-tree benchmark: questions about short events hidden in long scripted videos.

`worlds` makes videos and items, `observers` are models without weights, `metrics` says how well a
search went, `baselines` answers without a search, `runner` measures and `page` shows.
"""
