"""Ref-Adv by procedure: expressions whose every word is needed, with proofs."""
