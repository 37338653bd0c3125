"""The adapter of the reader of timed notes; `training/reader` made it, `card.md` says how."""
