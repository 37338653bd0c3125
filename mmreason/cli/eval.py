"""`mmreason eval`: the verbs that measure a model."""

from __future__ import annotations

import typer

from mmreason.cli.eval_nano import eval_nano
from mmreason.cli.eval_natural import eval_natural
from mmreason.cli.eval_navigation import eval_navigation
from mmreason.cli.eval_needle import eval_needle
from mmreason.cli.eval_problems import eval_problems
from mmreason.cli.eval_public import eval_public
from mmreason.cli.eval_refadv import eval_refadv

eval_app = typer.Typer(no_args_is_help=True, help="Measure a model.")


@eval_app.callback()
def _eval_group() -> None:
    """Measure a model."""


eval_app.command(
    "needle", epilog="Example: mmreason eval needle --lengths 3m,1h --baselines --out runs/needle"
)(eval_needle)
eval_app.command(
    "problems",
    epilog="Example: mmreason eval problems test.jsonl --model runs/sft/model --against NAME "
    "--out runs/eval",
)(eval_problems)
eval_app.command(
    "public",
    epilog="Example: mmreason eval public lvbench data/LVBench --model URL --out runs/lvbench",
)(eval_public)
eval_app.command(
    "navigation", epilog="Example: mmreason eval navigation --length 3m --items 4 --worlds 10"
)(eval_navigation)
eval_app.command("nano", epilog="Example: mmreason eval nano --worlds 200 --card MODEL_CARD.md")(
    eval_nano
)
eval_app.command(
    "natural", epilog="Example: mmreason eval natural --without check --out runs/natural"
)(eval_natural)
eval_app.command(
    "refadv", epilog="Example: mmreason eval refadv --model nano --items 300 --out runs/refadv"
)(eval_refadv)
