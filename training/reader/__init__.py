"""Teaching a small language model to read timed notes of a video: to answer with their times, or to
say that they do not tell."""
