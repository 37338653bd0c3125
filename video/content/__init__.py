"""One pass over small frames: cuts between shots, and the frames that differ most."""
