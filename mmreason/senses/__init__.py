"""What ears, a reader of screens and a classifier find in a video, as records."""
