"""What a classifier and plain measurements say of the picture."""
