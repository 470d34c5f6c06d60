"""Page: what is in a GGUF file, why it is as large as it is, and two files side by side."""
