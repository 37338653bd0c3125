"""How right boxes, spans, masks and tubes are, with intervals.

`arrays` overlaps many boxes at once, `image` scores rows of one picture, `video` tubes,
`segmentation` masks, `tracking` who is who through time; `statistics` says how sure a figure is.
"""
