"""One run over several processes: replicated, FSDP2 or DeepSpeed ZeRO behind one strategy."""
