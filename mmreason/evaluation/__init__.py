"""Measuring models on worlds whose truth is known, and on footage that is none of them."""
