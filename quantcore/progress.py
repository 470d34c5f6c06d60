"""How far long work has come: what every iterator of steps yields, and how to wait for its end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Progress(Generic[Result]):
    """One step of long work.

    Whoever iterates over steps may stop at any of them: that cancels the work.
    """

    share: float  # done so far, 0 to 1
    stage: str  # what is done now, in words: "Q4_K_M: chunk 3 of 40"
    result: Result | None = None  # all of it at the last step; before that what is known so far

    @property
    def known(self) -> Result:
        """The result, at a step that carries one."""
        assert self.result is not None
        return self.result


def result_of(
    steps: Iterator[Progress[Result]],
    on_progress: Callable[[Progress[Result]], None] | None = None,
) -> Result:
    """Work through all steps, and return what the last one carries.

    Parameters
    ----------
    on_progress
        Called at each step; an exception that it raises ends the work.

    Raises
    ------
    ValueError
        If the steps end without a result.

    Examples
    --------
    >>> result_of(iter([Progress(0.5, "half"), Progress(1.0, "done", "a file")]))
    'a file'
    """
    result = None
    for step in steps:
        result = step.result
        if on_progress is not None:
            on_progress(step)
    if result is None:
        raise ValueError("The work ended without a result")
    return result
