"""Rows of training data: files of problems, exports."""
