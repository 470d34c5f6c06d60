"""Two files side by side: the tensors that both have, and how far each lies from the original."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from quantcore.evaluate.file_error import RestoredError
from quantcore.recipe.promise import HeldTensor, Promise


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorPair:
    """A tensor that two files have in one shape; errors are None where they were not measured."""

    first: HeldTensor
    second: HeldTensor
    error_first: float | None = None  # relative root mean square error, 0 is lossless
    error_second: float | None = None

    @property
    def name(self) -> str:
        """The tensor's name."""
        return self.first.name

    @property
    def same_type(self) -> bool:
        """Whether both files store it in one type."""
        return self.first.type == self.second.type

    @property
    def error_ratio(self) -> float:
        """How many times the larger of its two errors is of the smaller; none may be None or 0."""
        assert self.error_first is not None and self.error_second is not None
        low, high = sorted((self.error_first, self.error_second))
        return high / low


def pairs(
    one: Promise, other: Promise, errors: Sequence[Sequence[RestoredError]] = ((), ())
) -> Iterator[TensorPair]:
    """Put the tensors that two files have by the same name and shape beside each other.

    Parameters
    ----------
    errors
        Of both files' matrices, where they were measured.
    """
    twins = {tensor.name: tensor for tensor in other.tensors}
    of_one, of_other = ({e.name: e.relative_rmse for e in each} for each in errors)
    for tensor in one.tensors:
        twin = twins.get(tensor.name)
        if twin is not None and twin.shape == tensor.shape:
            yield TensorPair(
                first=tensor,
                second=twin,
                error_first=of_one.get(tensor.name),
                error_second=of_other.get(tensor.name),
            )
