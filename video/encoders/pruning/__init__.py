"""Fewer visual tokens, without training, each with its place in the clip."""
