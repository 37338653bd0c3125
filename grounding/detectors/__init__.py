"""Detectors by transformers, and scripted ones of known error rates."""
