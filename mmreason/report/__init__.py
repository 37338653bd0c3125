"""How an answer is shown: HTML, terminal, timeline. Leaves out how an answer is found."""
