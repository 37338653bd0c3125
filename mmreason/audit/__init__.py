"""Whether what is said of an installation and of a number is real."""
