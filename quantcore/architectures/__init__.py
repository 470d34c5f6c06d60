"""Which architectures there are, and what each is like: the only place that knows them by name."""

from quantcore.architectures.architecture import Architecture
from quantcore.architectures.lookup import LLAMA, RUNNABLE, by_model_type, by_name
from quantcore.architectures.table import ARCHITECTURES

__all__ = ["ARCHITECTURES", "LLAMA", "RUNNABLE", "Architecture", "by_model_type", "by_name"]
