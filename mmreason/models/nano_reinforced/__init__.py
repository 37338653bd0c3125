"""The packaged weights of nano after reinforcement, loadable like any hub model. Made by
`mmreason train rl training/nano/reinforced.py`."""
