"""Files: nothing that a file says is believed before it was checked."""


class ModelError(ValueError):
    """A model folder that cannot be used; the message is one sentence for its owner."""
