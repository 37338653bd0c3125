"""Reading and writing the data sets and tools of the field."""
