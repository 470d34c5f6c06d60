"""Where a model's sizes come from: its name, its files, their headers, or the Hub."""

from quantcore.memory.lookup.found_model import FoundModel
from quantcore.memory.lookup.sources import find_by_name, find_pasted, find_shape, shape_of

__all__ = ["FoundModel", "find_by_name", "find_pasted", "find_shape", "shape_of"]
