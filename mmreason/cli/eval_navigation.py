"""`mmreason eval navigation`: how well a model chooses where to look in held-out videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import Json, ModelName, out, print_json, progress, quiet_libraries

if TYPE_CHECKING:
    from mmreason.evaluation.scoring import Proportion


def eval_navigation(
    worlds: Annotated[int, typer.Option(min=1, help="Held-out videos.")] = 10,
    length: Annotated[
        str | None, typer.Option(help="Length of the videos, such as 3m; default: 3m, 15m, 1h.")
    ] = None,
    items: Annotated[int, typer.Option(min=1, help="Questions about each video.")] = 10,
    model: ModelName = "nano",
    as_json: Json = False,
) -> None:
    """Measure how a model navigates by captions without a fault, beside the greedy policy."""
    quiet_libraries()
    from mmreason import models
    from mmreason.needle.items import duration_of
    from mmreason.training.navigation.measure import measure_navigation

    loaded = models.load(model)
    with progress(f"measuring {model}") as say:
        found = measure_navigation(
            loaded,
            worlds=worlds,
            duration_s=None if length is None else duration_of(length),
            items=items,
            on_world=lambda done: say(f"measuring {model}: world {done} of {worlds}"),
        )
    players = {model: found.model, "teacher without hints": found.teacher}
    shares = {
        **_told("turns that can be read", {model: found.model.valid}),
        **_told(
            "opened nodes on the way to a place", {n: p.right_open for n, p in players.items()}
        ),
        **_told("looks at a place", {n: p.right_look for n, p in players.items()}),
        **_told("right", {n: p.right for n, p in players.items()}),
        "right: greedy, checked": found.greedy,
        **{f"right: {model}, {kind}": share for kind, share in found.model.by_kind.items()},
    }
    turns = {n: p.turns / p.right.n for n, p in players.items()}
    if as_json:
        rows: dict[str, object] = {
            name: {"value": s.value if s.n else None, "interval": list(s.interval), "n": s.n}
            for name, s in shares.items()
        }
        print_json(rows | {"turns a question": turns})
        return
    for name, share in shares.items():
        out().print(f"{name}: {share}", soft_wrap=True)
    for name, count in turns.items():
        out().print(f"turns a question: {name}: {count:.1f}", soft_wrap=True)


def _told(what: str, by_player: dict[str, Proportion]) -> dict[str, Proportion]:
    return {f"{what}: {name}": share for name, share in by_player.items()}
