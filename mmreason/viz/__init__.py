"""The one drawing surface: every chart and every page of mmreason is made here.

`drawing` has the marks and writes them as SVG or PNG, `axes` maps values to places and finds round
numbers, `charts` draws still charts (lines with intervals, bars, heat maps), `curves` the curves of
a run for a page, and `pages` is the HTML around them: no script, nothing from outside, one policy.
It imports `mmreason.video` only.
"""
