"""What a text says of the inputs of matrices, and of the blocks that they feed."""
