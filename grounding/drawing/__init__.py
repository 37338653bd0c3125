"""Boxes and tubes on pictures, video and pages."""
