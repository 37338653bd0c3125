"""Scripted videos told in natural language: scripts, questions about them, models by script."""
