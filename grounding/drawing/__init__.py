"""Boxes and tubes on pictures, video and pages.

`boxes` draws on one picture, `video` on every frame of a file, `page` shows a result as HTML.
"""
