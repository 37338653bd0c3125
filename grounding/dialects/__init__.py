"""Reading and writing the forms in which models say where something is."""
