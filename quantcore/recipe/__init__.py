"""Which type each tensor of a file gets, and why."""
