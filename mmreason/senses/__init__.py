"""What ears, a reader of screens and a classifier find in a video, as records of its memory.

    senses = load_senses()
    for step in perceive(video, memory, senses):
        print(step.sense, step.span, step.records)

A sense goes through a video in stretches. What it found in one is written into the memory together
with a line of the ledger, so that work that was interrupted goes on where it was, and nothing is
done twice.
"""

from mmreason.memory.sense_ledger import SenseRun
from mmreason.senses.load import load_senses
from mmreason.senses.parts import (
    SENSE_NAMES,
    Findings,
    Sense,
    SenseMissingError,
    SenseName,
    SensePlan,
    Senses,
    read_sense_names,
)
from mmreason.senses.perceive import SenseStep, list_sense_runs, perceive

__all__ = [
    "SENSE_NAMES",
    "Findings",
    "Sense",
    "SenseMissingError",
    "SenseName",
    "SensePlan",
    "SenseRun",
    "SenseStep",
    "Senses",
    "list_sense_runs",
    "load_senses",
    "perceive",
    "read_sense_names",
]
