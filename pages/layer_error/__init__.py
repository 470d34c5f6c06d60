"""Page: which matrices lose most when the model is stored in a format, or in a mix."""
