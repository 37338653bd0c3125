"""`mmreason eval navigation`: how well a model chooses where to look in held-out videos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mmreason.cli.common import (
    Json,
    ModelName,
    print_json,
    quiet_libraries,
    result_console,
    show_progress,
)

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
    with show_progress(f"measuring {model}") as say:
        results = measure_navigation(
            loaded,
            worlds=worlds,
            duration_s=None if length is None else duration_of(length),
            items=items,
            on_world=lambda done: say(f"measuring {model}: world {done} of {worlds}"),
        )
    players = {model: results.model, "teacher without hints": results.teacher}
    proportions = {
        **_label_players("turns that can be read", {model: results.model.valid}),
        **_label_players(
            "opened nodes on the way to a place", {n: p.right_open for n, p in players.items()}
        ),
        **_label_players("looks at a place", {n: p.right_look for n, p in players.items()}),
        **_label_players("right", {n: p.right for n, p in players.items()}),
        "right: greedy, checked": results.greedy,
        **{
            f"right: {model}, {kind}": proportion
            for kind, proportion in results.model.by_kind.items()
        },
    }
    # Per question asked, whether it was answered or not.
    turns = {n: p.turns / p.right.n for n, p in players.items()}
    if as_json:
        # JSON has no NaN: a share of nothing is null.
        rows: dict[str, object] = {
            name: {"value": s.value if s.n else None, "interval": list(s.interval), "n": s.n}
            for name, s in proportions.items()
        }
        print_json(rows | {"turns a question": turns})
        return
    for name, proportion in proportions.items():
        result_console().print(f"{name}: {proportion}", soft_wrap=True)
    for name, count in turns.items():
        result_console().print(f"turns a question: {name}: {count:.1f}", soft_wrap=True)


def _label_players(measure: str, by_player: dict[str, Proportion]) -> dict[str, Proportion]:
    return {f"{measure}: {name}": proportion for name, proportion in by_player.items()}
