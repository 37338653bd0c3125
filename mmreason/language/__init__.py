"""What a model's text says: thoughts, markup, refusals, and the one reader of answers.

Pure functions over text, without a model. `read_answer` is what agent, rewards and evaluation use.
"""
