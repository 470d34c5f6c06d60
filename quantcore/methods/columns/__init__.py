"""Column after column: how errors are pushed on, onto the codes of any format."""
