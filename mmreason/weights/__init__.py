"""Weights of the senses, from ordinary packages, pinned by hash."""
