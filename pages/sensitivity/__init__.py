"""Page: which tensor cannot stand which bits, as measured, and which cheap guide knows it."""
