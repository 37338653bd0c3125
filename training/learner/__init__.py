"""The model that is trained: forward pass, packing, adapters, vision cache, reference."""
