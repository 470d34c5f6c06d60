"""llama-quantize's file types as they are, to lay a mix of one's own beside."""

from quantcore.model.source import Model
from quantcore.recipe.file_types import FILE_TYPES
from quantcore.recipe.plan import Plan, plan


def stock_plans(model: Model, imatrix: bool = False) -> dict[str, Plan]:
    """Plan every quantized file type, but for that which is for experts only.

    Parameters
    ----------
    imatrix
        Whether those that can do without an importance matrix are planned with one. Those that
        cannot are with the model's; where none lies with it, they are without, and their
        `Plan.needs_imatrix` says that llama-quantize refuses them.
    """
    plans = {}
    for name, each in FILE_TYPES.items():
        if not each.is_quantized or name == "MXFP4_MOE":
            continue
        without = plan(model, name)
        aided = model.imatrix is not None if without.needs_imatrix else imatrix
        plans[name] = plan(model, name, imatrix=True) if aided else without
    return plans
