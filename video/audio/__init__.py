"""Sound of a video by time."""
