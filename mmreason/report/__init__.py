"""How an answer is shown: HTML, terminal, timeline."""
