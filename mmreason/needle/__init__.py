"""Long scripted videos with hidden events: worlds, questions about them, observers by script."""
