"""Calls of tools by name, for tests that only care for some of their arguments."""

from typing import Any, Literal, cast

from mmreason.tool_calls import AgentCall, Caption, Focus, Look, ModelTurn, Scan, Search, Skim
from mmreason.video.types import Span

_KINDS = {kind.__name__.lower(): kind for kind in (Caption, Skim, Look, Focus, Search, Scan)}
_NEEDED: dict[str, dict[str, Any]] = {
    "caption": {"node": ()},
    "look": {"question": "", "shift": 0.0},
    "focus": {"question": ""},
    "search": {"text": ""},
    "scan": {"count": 1},
}


def call_named(name: str, span: Span, **arguments: Any) -> AgentCall:
    """The call, or the turn of a model without one ("answer", "invalid", "consult")."""
    if name not in _KINDS:
        return ModelTurn(kind=cast(Literal["answer", "invalid", "consult"], name), **arguments)
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    return _KINDS[name](span=span, **(_NEEDED.get(name, {}) | arguments))
