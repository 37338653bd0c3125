"""The model that is trained: weights, adapters, packed forward pass, log-probabilities."""
