"""Reinforcement learning from verifiable feedback: recipes and the trainer.

from mmreason.training import rl

recipe = rl.Recipe(task=task, out=Path("runs/first"), model="nano", steps=20)
for report in rl.train(recipe):
    print(report.step, report.metrics["reward/mean"])
"""

from mmreason.training.rl.events import METRICS, SampleToken, SampleView, StepReport
from mmreason.training.rl.recipe import Dsdr, Kl, Lora, Overlong, Recipe, Stapo, read_recipe
from mmreason.training.rl.trainee import Trainee
from mmreason.training.rl.trainer import TrainingStopped, train

__all__ = [
    "METRICS",
    "Dsdr",
    "Kl",
    "Lora",
    "Overlong",
    "Recipe",
    "SampleToken",
    "SampleView",
    "Stapo",
    "StepReport",
    "Trainee",
    "TrainingStopped",
    "read_recipe",
    "train",
]
