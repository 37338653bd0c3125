"""Measuring policies on scripted videos told in natural language (`mmreason.natural`).

`methods` names what is compared, `runner` measures, `summary` says how it went, `page` shows it.
"""
