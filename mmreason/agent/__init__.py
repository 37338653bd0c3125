"""The loop that answers a question, its checks, and the drivers that perform what it asks for."""
