"""What passes between tasks, samplers and the trainer: problems, prompts, completions, rollouts."""
