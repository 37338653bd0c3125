"""The packaged weights of nano after reinforcement, loadable like any hub model. Made by
`mmreason train rl training/nano/reinforced.py`, then taught to decline by
`mmreason train nano --config training/nano/declines_reinforced.json`."""
