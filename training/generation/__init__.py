"""Tokens from the policy model: KV cache, prefix cache, prefill, decode, endpoint samplers."""
