"""Policies: who decides where to look next. Each is a generator of actions; none does I/O."""

from mmreason.agent.protocol import Policy
from mmreason.policies.breadth_first import BreadthFirst, RandomLeaf
from mmreason.policies.greedy import Greedy
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.policies.oracle import Oracle
from mmreason.policies.scripted import Scripted

__all__ = [
    "BreadthFirst",
    "Greedy",
    "LongVideoR1",
    "Oracle",
    "Policy",
    "RandomLeaf",
    "Scripted",
]
