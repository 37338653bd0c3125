"""Attention over sequences of unequal length that lie end to end."""
