"""TQ1_0 and TQ2_0: weights that are -1, 0 or 1 times the scale of their super-block."""
