"""What quantization did: to the weights, to the model's predictions, to its skills."""
