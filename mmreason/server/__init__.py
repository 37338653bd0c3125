"""A server of the Model Context Protocol: assistants and agents ask local videos through mmreason.

`server` alone imports the SDK (extra `mcp`); `desk` does the work, `results` is what it gives,
`roots` which files it may open. Leaves out transports but standard input and output.
"""
