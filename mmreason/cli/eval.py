"""`mmreason eval nano`: measure a model of scripted worlds and write its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import (
    Json,
    ModelName,
    err,
    out,
    print_json,
    progress,
    quiet_libraries,
)
from mmreason.cli.eval_navigation import eval_navigation
from mmreason.cli.eval_needle import eval_needle

if TYPE_CHECKING:
    from mmreason.evaluation.nano import Results
    from mmreason.models.hf import TransformersModel

eval_app = typer.Typer(no_args_is_help=True, help="Measure a model.")


@eval_app.callback()
def _eval_group() -> None:
    """Measure a model."""


eval_app.command(
    "needle", epilog="Example: mmreason eval needle --lengths 3m,1h --baselines --out runs/needle"
)(eval_needle)
eval_app.command(
    "navigation", epilog="Example: mmreason eval navigation --length 3m --items 4 --worlds 10"
)(eval_navigation)


@eval_app.command("nano", epilog="Example: mmreason eval nano --worlds 200 --card MODEL_CARD.md")
def eval_nano(
    worlds: Annotated[int, typer.Option(min=1, help="Held-out worlds to measure on.")] = 200,
    card: Annotated[Path | None, typer.Option(help="Write the model card to this file.")] = None,
    real: Annotated[
        list[Path] | None, typer.Option(help="A clip of real footage; give it once for each.")
    ] = None,
    model: ModelName = "nano",
    as_json: Json = False,
) -> None:
    """Measure nano on worlds it was never trained on, and on real clips."""
    quiet_libraries()
    from mmreason.evaluation.card import model_card
    from mmreason.evaluation.nano import measure
    from mmreason.models.hf import TransformersModel
    from mmreason.report.terminal import print_plain
    from mmreason.video.files import write_atomic

    clips = real or []
    loaded = TransformersModel.load(model)
    with progress(f"measuring {model}") as say:
        results = measure(
            loaded,
            worlds=worlds,
            real=clips,
            on_progress=lambda done, total: say(f"measuring {model}: world {done} of {total}"),
        )
    flags = [] if model == "nano" else [f"--model {model}"]
    flags += [f"--worlds {worlds}", *(f"--real {path.name}" for path in clips)]
    command = f"mmreason eval nano {' '.join(flags)}"
    text = model_card(results, _facts(loaded), command, Path(model).name)
    if card is not None:
        write_atomic(card, text.encode())
        err().print(f"card written to {card}")
    if as_json:
        print_json(_as_json(results))
    elif card is None:
        print_plain(text, out())


def _facts(model: TransformersModel) -> dict[str, str]:
    """Lines about the weights."""
    count = sum(p.numel() for p in model.model.parameters())
    clip = model.clip
    notes = Path(model.model.name_or_path) / "mmreason.json"
    trained = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    size = "their own size" if clip.size_px is None else "{}x{} pixels".format(*clip.size_px)
    steps = {"training steps": str(trained.get("trained_steps", "unknown"))}
    if "reinforced_steps" in trained:
        steps["steps of reinforcement"] = str(trained["reinforced_steps"])
    return {
        "parameters": f"{count:,}",
        "architecture": type(model.model).__name__,
        "weights": str(model.model.dtype).removeprefix("torch."),
        "watches": f"{clip.frames} frames of {size}, clips of about {clip.leaf_s:g} s",
        **steps,
        "fingerprint": f"`{model.fingerprint[:16]}`",
    }


def _as_json(results: Results) -> dict[str, Any]:
    from mmreason.evaluation.scoring import Mean, Share

    def plain(value: Any) -> Any:
        if isinstance(value, Share | Mean):
            return {"value": value.value, "interval": list(value.interval), "n": value.n}
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return value

    return {name: plain(value) for name, value in vars(results).items()}
