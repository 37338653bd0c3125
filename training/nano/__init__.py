"""The recipe of nano: a tiny Qwen3-VL trained from scratch on scripted worlds."""
