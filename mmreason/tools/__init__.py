"""What the agent may do with a video: typed calls, the frames they show, and their results."""
