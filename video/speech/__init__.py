"""Speech of a video as text with times."""
