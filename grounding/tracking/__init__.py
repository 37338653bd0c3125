"""Following objects through frames."""
