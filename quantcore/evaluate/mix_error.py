"""The weight error of a whole mix: each tensor in its type, and all matrices together.

    relative error of all  =  sqrt(sum of squared errors / sum of squared weights)

Sizes of a mix come from its plan at once; an error takes the weights themselves. So an
`ErrorTable` keeps what was measured of a model, tensor by tensor, and grows: another mix then asks
only for what is not there yet.

>>> from quantcore.model.source import open_model
>>> from quantcore.recipe.plan import plan
>>> model = open_model()
>>> mix = plan(model, "Q8_0")
>>> round(total_error(model, mix), 5)
0.00527
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from quantcore.evaluate.weight_error import RunningError, running_error
from quantcore.formats import FORMATS
from quantcore.model.source import Model
from quantcore.progress import Progress, result_of
from quantcore.recipe.plan import Plan
from quantcore.recipe.quantize import importance_of

SLOW = ("IQ1", "IQ2", "IQ3", "TQ2")  # search a codebook for every group: a weight counts as ten
MOST_TOTALS = 4096  # kept of a model
ONLY_READ = 0.25  # what a weight counts whose square alone is wanted


class Case(NamedTuple):
    """One tensor in one type, quantized with what an importance matrix says of it or without."""

    tensor: str
    type: str
    with_importance: bool


@dataclass(frozen=True, slots=True)
class MixSummary:
    """What a mix takes and how far it moves the weights."""

    name: str
    n_bytes: int  # without padding, as `Plan.bytes`
    bits_per_weight: float
    error: float | None  # of all matrices together, relative; None: not measured


class ErrorTable:
    """Errors of a model's tensors in types, as far as they are measured. Threads may share one.

    Parameters
    ----------
    errors
        Relative errors that are known from before, such as those that lie beside the model.
    """

    def __init__(self, model: Model, errors: Mapping[Case, float] | None = None) -> None:
        self.model = model
        self._errors = dict(errors or {})
        self._signals: dict[str, float] = {}  # sum of the squared weights
        self._totals: dict[tuple, float] = {}  # of mixes that were asked for
        self._lock = threading.Lock()

    @property
    def errors(self) -> dict[Case, float]:
        """Relative errors that are known: roots of the squared errors' sum over the weights'."""
        with self._lock:
            return dict(self._errors)

    def cases(self, types: Iterable[tuple[str, str]], with_imatrix: bool) -> list[Case]:
        """Name the cases of tensors and their types; vectors, which stay as they are, have none.

        Without importance is also what an importance matrix does not change: types that take no
        notice of it, and tensors that it does not know.
        """
        imatrix = self.model.imatrix if with_imatrix else None
        known, matrices = imatrix.sums if imatrix else {}, set(self.model.quantizable)
        return [
            Case(name, type, name in known and type in FORMATS and FORMATS[type].uses_importance)
            for name, type in types
            if name in matrices
        ]

    def missing(self, cases: Iterable[Case]) -> list[Case]:
        """Keep the cases that can be measured and are not yet, each once."""
        with self._lock:
            return [
                case
                for case in dict.fromkeys(cases)
                if (case not in self._errors or case.tensor not in self._signals)
                and not self.obstacle(case)
            ]

    def obstacle(self, case: Case) -> str:
        """Say why a case has no error, "" where it can be measured."""
        fmt, n_cols = FORMATS.get(case.type), self.model.tensors[case.tensor].shape[-1]
        if fmt is None:
            return f"the lab has no {case.type} yet, which {case.tensor} would get"
        if n_cols % fmt.block_size:
            return (
                f"{case.tensor} cannot be {case.type}: its rows of {n_cols:,} do not divide into "
                f"blocks of {fmt.block_size}"
            )
        if self.lacks_importance(case):
            return f"{case.tensor} as {case.type} needs an importance matrix that knows it"
        return ""

    def lacks_importance(self, case: Case) -> bool:
        """Whether a type cannot do without an importance matrix, and the tensor goes without."""
        held = self.model.holds(case.tensor, case.type)  # its bytes are copied
        demands = case.type in FORMATS and FORMATS[case.type].needs_importance
        return demands and not case.with_importance and not held

    def costs(self, cases: Iterable[Case]) -> list[float]:
        """Count the weights that each case takes to measure, in this order; more for slow types."""
        with self._lock:
            errors, read = set(self._errors), set(self._signals)
        costs = []
        for case in cases:
            per_weight = 10.0 if case.type.startswith(SLOW) else 1.0
            if case in errors:
                per_weight = 0.0 if case.tensor in read else ONLY_READ
            costs.append(per_weight * self.model.tensors[case.tensor].n_weights)
            errors.add(case)
            read.add(case.tensor)
        return costs

    def add(self, case: Case, measured: RunningError) -> None:
        """Take in what was measured of a whole tensor; an error that is known stays."""
        with self._lock:
            self._signals[case.tensor] = measured.signal
            self._errors.setdefault(case, measured.relative_rmse)

    def error(self, tensor: str, type: str, with_imatrix: bool) -> float | None:
        """Relative error of one tensor in a type, None where it is not measured; vectors: None."""
        with self._lock:
            cases = self.cases([(tensor, type)], with_imatrix)
            return self._errors.get(cases[0]) if cases else None

    def total(self, types: Mapping[str, str], with_imatrix: bool) -> float | None:
        """Relative error of all matrices together; None where one of them is not measured."""
        asked = (tuple(types.items()), with_imatrix)
        noise = signal = 0.0
        with self._lock:
            if asked in self._totals:  # what is measured stays as it is
                return self._totals[asked]
            for case in self.cases(types.items(), with_imatrix):
                error, square = self._errors.get(case), self._signals.get(case.tensor)
                if error is None or square is None:
                    return None
                noise += error**2 * square
                signal += square
            if len(self._totals) >= MOST_TOTALS:
                self._totals.clear()
            self._totals[asked] = math.sqrt(noise / signal) if signal else 0.0
            return self._totals[asked]

    def summary(self, name: str, mix: Plan, with_imatrix: bool) -> MixSummary:
        """Sum up what a mix takes, and how far it moves the weights where that is measured."""
        error = self.total(mix.types, with_imatrix)
        return MixSummary(name, mix.bytes, mix.bits_per_weight, error)


def error_steps(table: ErrorTable, cases: Iterable[Case]) -> Iterator[Progress[ErrorTable]]:
    """Measure what a table lacks of some cases, and add it there; stop iterating to cancel.

    Only some rows of one tensor are in memory at a time. What is measured stays when the work is
    stopped. Cases that cannot be measured are passed over: `ErrorTable.obstacle` says why.
    """
    wanted = table.missing(cases)
    costs = table.costs(wanted)
    total, done = sum(costs) or 1.0, 0.0
    for case, cost in zip(wanted, costs, strict=True):
        stage = f"{case.tensor} as {case.type}"
        yield Progress(done / total, stage, table)  # first: a kernel may have to be compiled
        if cost and table.missing([case]):  # nobody else has measured it meanwhile
            for part in _measured(table, case):
                yield Progress(min((done + part.share * cost) / total, 1.0), stage, table)
            table.add(case, part)
        done += cost
    yield Progress(1.0, "done", table)


def _measured(table: ErrorTable, case: Case) -> Iterator[RunningError]:
    """Measure one case; one whose error is known is only read, for the sum of its squares."""
    name, type, with_importance = case
    if case in table.errors:
        return running_error(table.model, name, "F32")
    importance = None
    if with_importance:
        imatrix = table.model.imatrix
        assert imatrix is not None  # `ErrorTable.cases` found the tensor there
        importance = importance_of(imatrix, name, table.model.tensors[name].shape[-1])
    return running_error(table.model, name, type, importance)


def total_error(
    model: Model,
    mix: Plan,
    table: ErrorTable | None = None,
    on_progress: Callable[[Progress[ErrorTable]], None] | None = None,
) -> float:
    """Relative error that a mix makes in all matrices of a model together; 0 is lossless.

    With the model's importance matrix where the mix is planned with one
    (``plan(model, "Q4_K_M", imatrix=True)``).

    Parameters
    ----------
    table
        What is known of this model already; what is measured is added to it.
    on_progress
        Called every few rows; an exception that it raises ends the work.

    Raises
    ------
    ValueError
        If a tensor cannot be quantized so, or the mix is planned with an importance matrix and
        there is none; before any work is done.
    """
    if mix.with_imatrix and model.imatrix is None:
        raise ValueError(
            f"This mix is planned with an importance matrix, and {model.name} has none"
        )
    table = table or ErrorTable(model)
    cases = table.cases(mix.types.items(), mix.with_imatrix)
    if problem := next(filter(None, map(table.obstacle, cases)), ""):
        raise ValueError(problem)
    result_of(error_steps(table, cases), on_progress)
    total = table.total(mix.types, mix.with_imatrix)
    assert total is not None  # all of it is measured now
    return total
