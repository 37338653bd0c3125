"""The packaged weights of nano after lessons in referring expressions, loadable like any hub model.
Made as their MODEL_CARD.md says, last by
`mmreason train nano --config training/nano/grounding.json`."""
