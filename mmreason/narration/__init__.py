"""Made videos with speech, slides and photographs, of which everything is known."""
