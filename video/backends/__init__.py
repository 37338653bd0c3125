"""What can stand behind a `Video`: one module a decoder, each a `Source` as `base` defines it."""
