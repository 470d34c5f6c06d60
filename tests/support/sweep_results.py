"""Results of a sweep made up for a test: effects with a divergence, and intervals of a tenth."""

from quantcore.sensitivity.costs import Cost
from quantcore.sensitivity.effect import Effect, SkillChange
from quantcore.sensitivity.results import Sensitivity, Source

SOURCE = Source(
    model="toy", fingerprint="f", text="river.txt", text_digest="d", context=64, tokens=4096,
    tokens_scored=2016, questions=0, imatrix_digest="",
)  # fmt: skip
Q, K, DOWN = "blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.1.ffn_down.weight"


def effect(name, kl, *, fmt="Q4_K", group="tensor", how="alone", bytes=100, **more):
    """Make the effect of one piece, of so many nats per token."""
    given = dict(
        group=group, name=name, how=how, format=fmt, bytes=bytes, mean_kl_divergence=kl,
        kl_low=0.9 * kl, kl_high=1.1 * kl, perplexity=2.0, perplexity_ratio=1.0,
        ratio_low=1.0, ratio_high=1.0, same_top_token=1.0,
    )  # fmt: skip
    return Effect(**given | more)


def results(*effects, guides=()):
    """Put effects and guides together."""
    made = Sensitivity(SOURCE)
    for each in effects:
        made.add(each)
    for guide in guides:
        made.add_guide(guide)
    return made


def cost(value):
    """Make a cost with the interval of `effect`."""
    return Cost(value, 0.9 * value, 1.1 * value)


def skill_change(skill, level, loss, sure=True):
    """Make what a piece does to a skill: a loss in nats an answer, certain or perhaps by chance."""
    return SkillChange(
        skill=skill, level=level, total=20, original_correct=15, correct=12,
        log_probability_change=-loss, change_low=-2 * loss,
        change_high=-loss / 2 if sure else loss,
    )  # fmt: skip
