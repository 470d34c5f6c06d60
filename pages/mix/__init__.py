"""Page: which type each tensor of a file gets and why, and what another choice would cost."""
