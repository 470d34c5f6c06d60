"""Page: the importance matrix: which columns matter, how unevenly, and what that changes."""
