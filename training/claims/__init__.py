"""Claims of papers about reinforcement learning, tried at a size that one core can repeat.

Small text tasks with checkable answers (`sums`, `routes`, `search`), a tiny language model with a
supervised start (`tiny`, `start`), five experiments whose arms are recipes of the real trainer
(`staleness`, `rare_tokens`, `diversity`, `navigation`, `attribute_swaps`), every finished run as a
line of a file (`runs`), and what comes of it: intervals over seeds, verdicts, a page (`statistics`,
`report`). Behind `mmreason bench rl`. All but the last experiment are about text: nothing there
says how a claim fares on models that see.
"""
