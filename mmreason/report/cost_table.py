"""What an answer cost, by role and by stage, against its limits. Pure sums, no layout."""

from __future__ import annotations

from dataclasses import dataclass

from mmreason.report.text import is_second_look
from mmreason.types import Answer, Cost

_DUTIES = {
    "reasoner": "decides where to look",
    "observer": "captions and looks",
    "checker": "looks again at the evidence",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleRow:
    """What one role took part in."""

    role: str
    duty: str
    model: str
    """Empty where the settings do not name it."""
    calls: int
    cost: Cost


@dataclass(frozen=True, slots=True)
class Stage:
    """A share of the wall time."""

    name: str
    seconds: float
    share_pct: float


def cost_by_role(answer: Answer) -> tuple[RoleRow, ...]:
    """The roles that asked a model at least once.

    Tools are the observer's or the checker's; what is left of the whole is the reasoner's, also
    what it thought after the last step.
    """
    costs = {"observer": Cost(), "checker": Cost()}
    for step in answer.trace:
        costs["checker" if is_second_look(step) else "observer"] += step.observation.cost
    tools = costs["observer"] + costs["checker"]
    total = answer.cost
    # The total counts every call, so that what tools do not account for is thinking. Clocks may
    # overlap by a hair, hence no value below 0.
    costs["reasoner"] = Cost(
        tokens_in=max(0, total.tokens_in - tools.tokens_in),
        tokens_out=max(0, total.tokens_out - tools.tokens_out),
        model_seconds=max(0.0, total.model_seconds - tools.model_seconds),
    )
    calls = {
        "reasoner": total.reasoner_calls,
        "observer": total.observer_calls,
        "checker": total.checker_calls,
    }
    return tuple(
        RoleRow(
            role=role,
            duty=duty,
            model=_model_of(answer, role),
            calls=calls[role],
            cost=costs[role],
        )
        for role, duty in _DUTIES.items()
        if calls[role]
    )


def time_by_stage(cost: Cost) -> tuple[Stage, ...]:
    """Decoding, models and all the rest, with their shares of the whole; empty without times.

    Example:
        >>> [(s.name, s.share_pct) for s in time_by_stage(Cost(seconds=4.0, model_seconds=3.0))][:2]
        [('models', 75.0), ('decoding', 0.0)]
    """
    # Answers that were read back, or made by scripted models, have no times to share out.
    if cost.seconds <= 0 or not cost.model_seconds:
        return ()
    rest_s = max(0.0, cost.seconds - cost.decode_seconds - cost.model_seconds)
    named = (
        ("models", cost.model_seconds),
        ("decoding", cost.decode_seconds),
        ("all else: the agent, the store, pictures for this report", rest_s),
    )
    # Shares of their own sum: clocks of models on other machines may exceed the wall time.
    whole_s = sum(seconds for _, seconds in named)
    return tuple(Stage(name, seconds, round(100 * seconds / whole_s, 2)) for name, seconds in named)


def limits_by_name(answer: Answer) -> dict[str, str]:
    """The limits that were set, under the names of `cost_rows`."""
    budget = answer.settings.get("budget")
    if not isinstance(budget, dict):
        return {}
    named = {"seconds": "seconds", "frames": "frames shown", "rounds": "rounds"}
    limits = {
        what: f"{budget[name]:,}" for name, what in named.items() if budget.get(name) is not None
    }
    if budget.get("tokens") is not None:
        limits["tokens read"] = f"{budget['tokens']:,} read and written"
    return limits


def _model_of(answer: Answer, role: str) -> str:
    named = answer.settings.get("roles")
    model = named.get(role) if isinstance(named, dict) else None
    return str(model.get("name", "")) if isinstance(model, dict) else ""
