"""The runs of `rl_runs` with the model (FSDP2) or the optimiser (DeepSpeed) in shards, on CPUs:

torchrun ... -m tests.fakes.sharded_runs fsdp2|deepspeed FOLDER STEPS NAME...

accelerate shards on accelerators only. Here it is told by hand that it shards, as it tells itself
where it finds some; the settings are those of the configs that are shipped.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from accelerate import (
    Accelerator,
    DeepSpeedPlugin,
    DistributedType,
    FullyShardedDataParallelPlugin,
)
from accelerate.state import AcceleratorState, PartialState

from mmreason.training.parallel.processes import destroy_process_group
from mmreason.training.rl import Recipe, train
from mmreason.training.rl.plan import CONFIGS
from tests.fakes import rl_runs


def shipped(config: str) -> dict[str, Any]:
    """The settings of a config that comes with the package."""
    import yaml

    return yaml.safe_load((CONFIGS / f"{config}.yaml").read_text())[f"{config.rstrip('2')}_config"]


def sharding(recipe: Recipe, config: str) -> Accelerator:
    """An accelerator that shards."""
    AcceleratorState._reset_state()
    if PartialState._shared_state:
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_CPU
    accelerator = Accelerator(mixed_precision=recipe.batching.precision)
    state: Any = accelerator.state
    if config == "deepspeed":
        from deepspeed import comm, ops  # pyright: ignore[reportMissingImports]

        # Through gloo alone: no operator of its own that it would compile first.
        ops.__compatible_ops__["deepspeed_shm_comm"] = False
        comm.init_distributed(dist_backend="gloo", auto_mpi_discovery=False)
        settings = shipped(config)
        plugin = DeepSpeedPlugin(**settings)
        plugin.select(_from_accelerator_state=True)
        state.distributed_type = DistributedType.DEEPSPEED
        state.deepspeed_plugins = plugin
        state._mixed_precision = "no"  # DeepSpeed's own affair, for accelerate
    else:
        # What the launcher makes of the settings.
        os.environ.update({name.upper(): str(value) for name, value in shipped(config).items()})
        plugin = FullyShardedDataParallelPlugin()
        state.distributed_type = DistributedType.FSDP
        if recipe.batching.precision != "no":
            plugin.set_mixed_precision(recipe.batching.precision)
        state.fsdp_plugin = plugin
        assert accelerator.is_fsdp2
    PartialState._shared_state["distributed_type"] = state.distributed_type
    return accelerator


def main() -> None:
    config, folder, steps, *names = sys.argv[1:]
    for name in names:
        recipe = rl_runs.recipe(name, Path(folder) / name, steps=int(steps))
        accelerator = sharding(recipe, config)
        reports = list(train(recipe, accelerator=accelerator))
        rl_runs.write_reports(reports, name, Path(folder))
    destroy_process_group()
    # All is written. Seen with gloo: a thread of torch at times aborts a process that ends.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
