"""Page: how the weights of a tensor are distributed, and why that decides what a format loses."""
