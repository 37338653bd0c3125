"""Policies: who decides where to look next. Each is a generator of actions; none does I/O."""

from mmreason.agent.protocol import Policy
from mmreason.policies.auto import Auto
from mmreason.policies.breadth_first import BreadthFirst, RandomLeaf
from mmreason.policies.direct import Direct, Global
from mmreason.policies.greedy import Greedy
from mmreason.policies.longvideo_r1 import LongVideoR1
from mmreason.policies.oracle import Oracle
from mmreason.policies.scripted import Scripted
from mmreason.policies.scripted_search import ScriptedSearch
from mmreason.policies.tool_loop import ToolLoop

__all__ = [
    "Auto",
    "BreadthFirst",
    "Direct",
    "Global",
    "Greedy",
    "LongVideoR1",
    "Oracle",
    "Policy",
    "RandomLeaf",
    "Scripted",
    "ScriptedSearch",
    "ToolLoop",
]
