"""Weights of nano that ground expressions, in images and through time."""
