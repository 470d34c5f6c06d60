"""Which type to take on a machine: of those that fit, what each costs, and one of them."""

from quantcore.which_type.known_costs import (
    KnownCosts,
    costs_of,
    measured_costs,
    published_costs,
    published_figures,
    shipped_costs,
)
from quantcore.which_type.recommend import Option, Recommendation, recommend

__all__ = [
    "KnownCosts",
    "Option",
    "Recommendation",
    "costs_of",
    "measured_costs",
    "published_costs",
    "published_figures",
    "recommend",
    "shipped_costs",
]
