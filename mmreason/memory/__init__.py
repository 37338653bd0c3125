"""What is known of a video: its temporal tree, and the store of what models said of it."""
