"""Models as the loaders for GPUs take them: packed integers in safetensors, by layout."""
