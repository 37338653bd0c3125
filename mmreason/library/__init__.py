"""A folder of videos that was heard and read: searched, listed, shown and exported."""
