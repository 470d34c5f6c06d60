"""Speed beside the tools of the field, in one run, as ratios."""
