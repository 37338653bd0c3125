"""Reading a file in a process of its own, with limits of memory and time (`Video.open` with
`memory_limit_mb`).

`source` is what the caller holds, `process` starts and ends the reading process, `worker` is what
runs in it, `records` are what they say to each other.
"""
