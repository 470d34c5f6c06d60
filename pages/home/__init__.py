"""Page: what the lab is, what lies on its bench, and the one chart that matters."""
