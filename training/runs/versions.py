"""Which libraries a run computes with."""

from __future__ import annotations

from importlib.metadata import version

_LIBRARIES = ("mmreason", "torch", "transformers", "accelerate")


def library_versions() -> dict[str, str]:
    """Version by name of the libraries that numbers depend on."""
    return {name: version(name) for name in _LIBRARIES}
