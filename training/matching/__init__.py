"""Image-text matching that half-truths do not fool: the loss, and a small head trained by it."""
