"""Text that stands in the picture, with its times and places."""
