"""Supervised fine-tuning on samples, and preference pairs."""
