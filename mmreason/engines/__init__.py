"""Runs jobs over many videos: in this process, in a pool of processes, on Ray, in shards.

`jobs` are the records, `ledger` keeps results, `base` has the interface and the engine of this
process, `local` that of this machine, `ray_engine` that of a cluster; both hand jobs out by
`dispatch`.
"""

from mmreason.engines.base import Engine, InlineEngine
from mmreason.engines.jobs import (
    EngineError,
    Job,
    JobResult,
    Shard,
    Work,
    make_job_key,
    name_file_content,
    select_shard,
)
from mmreason.engines.ledger import Ledger, merge_ledgers
from mmreason.engines.local import LocalEngine
from mmreason.engines.ray_engine import RayEngine

__all__ = [
    "Engine",
    "EngineError",
    "InlineEngine",
    "Job",
    "JobResult",
    "Ledger",
    "LocalEngine",
    "RayEngine",
    "Shard",
    "Work",
    "make_job_key",
    "merge_ledgers",
    "name_file_content",
    "select_shard",
]
