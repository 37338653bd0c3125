"""The runs of `rl_runs` with the model in shards (FSDP2), on CPUs:

torchrun ... -m tests.training.sharded_runs FOLDER STEPS NAME...

accelerate shards on accelerators only. Here it is told by hand that it shards, as it tells itself
where it finds some; the settings are those of the config that is shipped.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from accelerate import Accelerator, DistributedType, FullyShardedDataParallelPlugin
from accelerate.state import AcceleratorState, PartialState

from mmreason.training.rl import Recipe, train
from mmreason.training.rl.plan import CONFIGS
from tests.training import rl_runs


def shipped() -> dict[str, str]:
    """What the launcher makes of the config's settings: environment variables."""
    import yaml

    config = yaml.safe_load((CONFIGS / "fsdp2.yaml").read_text())
    return {name.upper(): str(value) for name, value in config["fsdp_config"].items()}


def sharding(recipe: Recipe) -> Accelerator:
    """An accelerator that shards."""
    os.environ.update(shipped())
    plugin = FullyShardedDataParallelPlugin()
    AcceleratorState._reset_state()
    accelerator = Accelerator(mixed_precision=recipe.precision)
    state: Any = accelerator.state
    state.distributed_type = DistributedType.FSDP
    PartialState._shared_state["distributed_type"] = DistributedType.FSDP
    if recipe.precision != "no":
        plugin.set_mixed_precision(recipe.precision)
    state.fsdp_plugin = plugin
    assert accelerator.is_fsdp2
    return accelerator


def main() -> None:
    folder, steps, *names = sys.argv[1:]
    for name in names:
        recipe = rl_runs.recipe(name, Path(folder) / name, steps=int(steps))
        accelerator = sharding(recipe)
        found = [dict(report.metrics) for report in train(recipe, accelerator=accelerator)]
        if accelerator.is_main_process:
            (Path(folder) / f"{name}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
