"""Reinforcement learning from verifiable feedback: the trainer."""
