"""`mmreason eval nano`: measure a model of scripted worlds, write its card, calibrate it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mmreason.cli.common import (
    Json,
    ModelName,
    print_json,
    progress_console,
    quiet_libraries,
    result_console,
    show_progress,
)

if TYPE_CHECKING:
    from mmreason.evaluation.declines import DeclineResults
    from mmreason.evaluation.nano import NanoResults
    from mmreason.evaluation.scoring import Proportion
    from mmreason.models import EndpointModel, NanoModel, TransformersModel


class Half(StrEnum):
    """Which sources of other footage are measured."""

    HELD_OUT = "held-out"
    TRAIN = "train"
    BOTH = "both"


def eval_nano(
    worlds: Annotated[int, typer.Option(min=1, help="Held-out worlds to measure on.")] = 200,
    card: Annotated[Path | None, typer.Option(help="Write the model card to this file.")] = None,
    real: Annotated[
        list[Path] | None,
        typer.Option(
            help="A picture, a clip, or a folder of them, that shows no scripted world; give it "
            "once for each. Drawn ones are added."
        ),
    ] = None,
    half: Annotated[
        Half, typer.Option(help="Which half of that footage: by a hash of each file's name.")
    ] = Half.HELD_OUT,
    declines: Annotated[
        Path | None, typer.Option(help="Write what was said of it to this page.")
    ] = None,
    coded: Annotated[
        int, typer.Option(min=0, help="Encoded clips of worlds, to see if the guard lets them by.")
    ] = 0,
    calibrate: Annotated[
        bool,
        typer.Option(
            "--calibrate",
            help="Fit the confidence on other worlds and write the fit beside the weights; "
            "measures nothing else.",
        ),
    ] = False,
    model: ModelName = "nano",
    as_json: Json = False,
) -> None:
    """Measure nano on worlds it was never taught, and on footage that is none."""
    quiet_libraries()
    from mmreason import models
    from mmreason.evaluation.card import model_card
    from mmreason.evaluation.declines_page import declines_page
    from mmreason.evaluation.nano import measure_nano
    from mmreason.models.nano_model import NanoModel
    from mmreason.report.terminal import print_plain
    from mmreason.video.files import write_atomic
    from mmreason.video.plain_text import show_text

    # A page about footage needs some; drawn footage alone is no honest sample.
    if declines is not None and not real:
        raise typer.BadParameter("goes with --real", param_hint="--declines")
    loaded = models.load(model)
    # Calibration has worlds of its own: figures of the card come from others.
    if calibrate:
        _calibrate(loaded, worlds, model)
        return
    with show_progress(f"measuring {model}") as say:
        decline_results = None if not real else _measure_declines(loaded, real, half, say)
        alarms = (
            _count_alarms(loaded, coded, say) if coded and isinstance(loaded, NanoModel) else None
        )
        results = measure_nano(
            loaded,
            worlds=worlds,
            on_progress=lambda done, total: say(f"measuring {model}: world {done} of {total}"),
        )
    command = _command(worlds, real or [], half, coded, model)
    name = Path(model).name
    text = model_card(
        results,
        _facts(loaded),
        command,
        name,
        declines=decline_results,
        alarms=alarms,
        is_calibrated=isinstance(loaded, NanoModel) and loaded.calibrated,
    )
    if declines is not None and decline_results is not None:
        page = show_text(declines_page(decline_results, alarms, name, command))
        write_atomic(declines, page.encode())
        progress_console().print(f"page written to {declines}")
    if card is not None:
        write_atomic(card, show_text(text).encode())
        progress_console().print(f"card written to {card}")
    if as_json:
        print_json(_to_json(results, decline_results, alarms))
    elif card is None:
        print_plain(text, result_console())


def _measure_declines(loaded: Any, real: list[Path], half: Half, say: Any) -> DeclineResults:
    from mmreason.evaluation.decline_sources import find_sources, list_drawn_sources
    from mmreason.evaluation.declines import measure_declines

    sources = [
        source
        for source in (*find_sources(real), *list_drawn_sources())
        if half is Half.BOTH or source.is_held_out == (half is Half.HELD_OUT)
    ]
    return measure_declines(
        loaded, sources, on_source=lambda n: say(f"other footage: {n} of {len(sources)}")
    )


def _count_alarms(loaded: NanoModel, count: int, say: Any) -> Proportion:
    from mmreason.evaluation.coded_worlds import coded_clips
    from mmreason.evaluation.scoring import Proportion
    from mmreason.models.nano_guard import why_outside

    fired = 0
    for done, frames in enumerate(coded_clips(count, loaded.clip), 1):
        # The guard alone: the weights are not asked, so that thousands of clips take minutes.
        fired += bool(why_outside(frames.pixels))
        say(f"encoded worlds: {done} of {count}")
    return Proportion(fired, count)


def _calibrate(
    loaded: TransformersModel | NanoModel | EndpointModel, worlds: int, name: str
) -> None:
    from mmreason.evaluation.calibration import fit_rising
    from mmreason.evaluation.nano import measure_nano
    from mmreason.models.calibration import Calibration
    from mmreason.models.nano_model import SCRIPTED_WORLD, NanoModel

    if not isinstance(loaded, NanoModel):
        raise typer.BadParameter(
            f"{name} is no model of scripted worlds (its folder has no {SCRIPTED_WORLD})",
            param_hint="--model",
        )
    with show_progress(f"calibrating {name}") as say:
        results = measure_nano(
            # The bare weights: confidence that is already mapped would be mapped twice.
            NanoModel(loaded.inner),
            worlds=worlds,
            split="calibration",
            second_looks=False,
            on_progress=lambda done, total: say(f"calibrating {name}: world {done} of {total}"),
        )
    maps = {kind: fit_rising(pairs) for kind, pairs in results.stated.items()}
    path = Path(loaded.inner.model.name_or_path) / SCRIPTED_WORLD
    Calibration(maps).save(path)
    progress_console().print(f"calibration written to {path}")


def _command(worlds: int, real: list[Path], half: Half, coded: int, model: str) -> str:
    flags = [] if model == "nano" else [f"--model {model}"]
    flags += [f"--worlds {worlds}", *(f"--real {path.name}" for path in real)]
    flags += [f"--half {half}"] if real and half is not Half.HELD_OUT else []
    flags += [f"--coded {coded}"] if coded else []
    return f"mmreason eval nano {' '.join(flags)}"


def _facts(loaded: Any) -> dict[str, str]:
    """Lines about the weights."""
    # nano wraps the weights in a guard; other models are measured as they are.
    inner = getattr(loaded, "inner", loaded)
    count = sum(p.numel() for p in inner.model.parameters())
    clip = loaded.clip
    # Models trained elsewhere have no such file: their steps are unknown, not 0.
    notes = Path(inner.model.name_or_path) / "mmreason.json"
    trained = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    size = "their own size" if clip.size_px is None else "{}x{} pixels".format(*clip.size_px)
    steps = {"training steps": str(trained.get("trained_steps", "unknown"))}
    if "reinforced_steps" in trained:
        steps["steps of reinforcement"] = str(trained["reinforced_steps"])
    return {
        "parameters": f"{count:,}",
        "architecture": type(inner.model).__name__,
        "weights": str(inner.model.dtype).removeprefix("torch."),
        "watches": f"{clip.frames} frames of {size}, clips of about {clip.leaf_s:g} s",
        **steps,
        "fingerprint": f"`{loaded.fingerprint[:16]}`",
    }


def _to_json(
    results: NanoResults, decline_results: DeclineResults | None, alarms: Proportion | None
) -> dict[str, Any]:
    from mmreason.evaluation.scoring import Mean, Proportion

    def plain(value: Any) -> Any:
        if isinstance(value, Proportion | Mean):
            return {"value": value.value, "interval": list(value.interval), "n": value.n}
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return value

    report = {name: plain(value) for name, value in vars(results).items() if name != "stated"}
    report["coded_worlds_declined"] = plain(alarms)
    if decline_results is not None:
        report["other_footage"] = {
            half: {
                "sources_invented": plain(decline_results.share(held_out=held_out)),
                "replies_invented": plain(decline_results.replies(held_out=held_out)),
            }
            for half, held_out in (("held_out", True), ("train", False))
            if decline_results.share(held_out=held_out).n
        }
    return report
