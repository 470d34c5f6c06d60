"""One file a page of the lab."""
