"""What each tensor, layer and role of a model costs in each format, measured on a text."""
