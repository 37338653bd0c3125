"""What is trained on: each task yields problems, plays episodes and scores them."""
