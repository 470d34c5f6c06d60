"""How codes are chosen when more is known than the weights: one file a method."""
