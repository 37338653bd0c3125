"""Training: worlds to examples, examples to gradients. Imported by the command line only when
asked for."""
