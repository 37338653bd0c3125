"""A server of the Model Context Protocol: assistants and agents ask local videos through mmreason.

`server` and `arguments` speak the protocol (SDK: extra `mcp`); `service` does the work of the tools
within the limits of a `call`, `results` is what they give, and `roots` opens the files that may be
read, `subtitles` with them. It serves standard input and output alone.
"""
