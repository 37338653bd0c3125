"""Bridges to other libraries of reinforcement learning: TRL in process, others through files.

Nothing is imported here: `trl`, `trl_environment` and `trl_rewards` are for those who have TRL;
`export` writes data sets for TRL, verl, EasyR1 and ms-swift.
"""
