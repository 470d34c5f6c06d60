"""A model: its config, its tensors by name, its tokenizer, its forward pass."""
