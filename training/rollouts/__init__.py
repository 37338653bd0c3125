"""Rollouts: attempts at problems by the model that is trained, in batches, as token ids."""
