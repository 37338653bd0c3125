"""Claims of papers about reinforcement learning, tried at a size that one core can repeat.

Small text tasks with checkable answers (`sums`, `routes`, `search`), a tiny language model with a
supervised start (`tiny`, `start`), the arms of each experiment as recipes of the real trainer
(`arms`), every finished run as a line of a file (`runs`), and what comes of it: intervals over
seeds, verdicts, a page (`statistics`, `report`). Behind `mmreason bench rl`.
Leaves out video: nothing here says how a claim fares on models that see.
"""
