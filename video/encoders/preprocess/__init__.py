"""Frames as they come from the reader, to the tensors that models take."""
