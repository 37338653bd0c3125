"""Frames and text to vectors: preprocessing, packed attention, encoders, fewer tokens."""
