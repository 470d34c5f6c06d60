"""Page: scale factors and minima: how large, where, at what cost, and how they lie in the bytes."""
