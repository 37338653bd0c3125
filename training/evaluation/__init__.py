"""How many samples of a file a model answers rightly, what it knew without looking, and whether one
model is better than another."""
