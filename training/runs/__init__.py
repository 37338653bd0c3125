"""What runs of every kind of training share: recipes from files, checkpoints, reports of steps."""
