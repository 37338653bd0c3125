"""Grounding an expression in a video: when, who, and is it really that one."""
