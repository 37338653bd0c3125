"""How right boxes, spans and tubes are, with intervals."""
