"""Which problems come next: diagnosis of what was learnt."""
