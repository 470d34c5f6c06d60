"""Page: what a model takes in memory, whether it fits, and what to do where it does not."""
