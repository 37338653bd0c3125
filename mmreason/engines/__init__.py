"""Runs jobs over many videos: in this process, in a pool, on Ray, in shards."""
