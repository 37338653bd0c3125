"""Runs jobs over many videos: in this process, in a pool of processes, on Ray, in shards.

`jobs` are the records, `ledger` keeps results, `base` has the interface and the engine of this
process, `local` that of this machine, `ray_engine` that of a cluster; both hand jobs out by
`dispatch`.
"""
