"""All answers of a trial, side by side."""

from html import escape

import streamlit as st

from pages.shared import controls, look, saving, tables
from pages.shared.palette import Look, ink_on
from pages.shared.units import number
from pages.trial import words
from quantcore.trial.report import answers, marked, summary, to_html
from quantcore.trial.trial import Answer, Trial, Version

EVERY, OTHER, WORSE, BETTER = "All", "Other answers", "Got worse", "Got better"
AT_ONCE = 10  # prompts
LETTERS = 240  # of a prompt, its end
_CSV_KEYS = (
    *("prompt", "expected", "pattern", "type", "answer", "right", "first_difference"),
    *("original_answer_log_probability", "tokens", "seconds_to_first", "seconds_per_token"),
)


def section(trial: Trial, margin: float, style: Look) -> None:
    """Draw answers side by side, what each version comes to, and the ways to save all of it."""
    look.finding(words.alike(trial), words.HOW_TO_READ_ANSWERS)
    one, two = st.columns([3, 2], vertical_alignment="bottom")
    with one:
        kinds = [EVERY, OTHER, WORSE, BETTER] if _is_judged(trial) else [EVERY, OTHER]
        controls.follow_default("show_answers", OTHER)
        kind = st.segmented_control(
            "Show", kinds, default=OTHER, required=True, key="show_answers", help=words.SHOW_HELP,
            **controls.BOUND,
        )  # fmt: skip
    shown = [i for i in range(len(trial.original.answers)) if _is_of(trial, i, kind)]
    pages = max(1, -(-len(shown) // AT_ONCE))
    if st.session_state.get("answers_page", 1) > pages:
        st.session_state["answers_page"] = 1
    page = 1
    if pages > 1:
        with two:
            page = st.number_input(
                f"Page of {pages}", 1, pages, 1, key="answers_page", width=150, **controls.BOUND
            )
    if not shown:
        look.note("There are none.")
    else:
        here = shown[AT_ONCE * (page - 1) : AT_ONCE * page]
        st.html(_css(style) + _table(trial, here))
    table(trial, margin)
    with st.container(horizontal=True, horizontal_alignment="right"):
        st.download_button(
            "Report as one page of HTML", lambda: to_html(trial, margin).encode(),
            file_name=f"{saving.stem('trial')}.html", mime="text/html", key="trial_html",
            on_click="ignore", type="tertiary",
        )  # fmt: skip
    tables.download(lambda: answers(trial), _CSV_KEYS, "trial_answers")


def table(trial: Trial, margin: float) -> None:
    """Draw what each version comes to, a row each."""
    with st.expander("Table of the versions"):
        tables.show(
            summary(trial, margin),
            [
                tables.Column(key="type", title="version", text=True),
                tables.Column(key="matches", title="right", absent="not judged"),
                tables.Column(key="better", title="better"),
                tables.Column(key="worse", title="worse"),
                tables.Column(key="p_value", title="p", show=number, help=_P_HELP),
                tables.Column(key="same_answer", title="same answer"),
                tables.Column(
                    key="first_difference_median", title="first other token", show=_place, wide=True
                ),
                tables.Column(
                    key="original_answer_log_probability", title="log probability", show=number,
                    help=_LOG_HELP, wide=True,
                ),
                tables.Column(
                    key="seconds_per_token_median", title="seconds per token", show=number,
                    absent="not kept", wide=True,
                ),
            ],
            "trial",
            caption="What the answers of each version come to",
            formats=True,
        )  # fmt: skip


_P_HELP = "McNemar’s exact test: the chance of so uneven a split if better and worse were a coin’s."
_LOG_HELP = (
    "Natural logarithm of the probability of a token of the original’s answers under this version, "
    "in the mean: how likely it finds what the original said."
)


def _place(value: float) -> str:
    return f"{value + 1:g}"


def _is_judged(trial: Trial) -> bool:
    return any(answer.right is not None for answer in trial.original.answers)


def _is_of(trial: Trial, i: int, kind: str) -> bool:
    """Whether some version's answer to a prompt is of a kind."""
    right = trial.original.answers[i].right
    theirs = [version.answers[i] for version in trial.versions if i < len(version.answers)]
    if kind == OTHER:
        return any(answer.first_difference is not None for answer in theirs)
    if kind == WORSE:
        return right is True and any(answer.right is False for answer in theirs)
    if kind == BETTER:
        return right is False and any(answer.right is True for answer in theirs)
    return True


def _table(trial: Trial, here: list[int]) -> str:
    heads = "".join(
        f'<th scope="col">{escape(name)}</th>'
        for name in ("prompt", "original", *(version.name for version in trial.versions))
    )
    rows = "".join(_row(trial, i) for i in here)
    return (
        '<div class="answers"><table><caption>Answers side by side</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _row(trial: Trial, i: int) -> str:
    prompt = trial.prompts[i]
    end = prompt.prompt if len(prompt.prompt) <= LETTERS else f"… {prompt.prompt[-LETTERS:]}"
    wanted = prompt.expected.strip() or prompt.pattern
    right = f"<small>right: {escape(wanted)}</small>" if wanted else ""
    cells = "".join(_cell(version, i) for version in (trial.original, *trial.versions))
    return f'<tr><th scope="row">{escape(end)}{right}</th>{cells}</tr>'


def _cell(version: Version, i: int) -> str:
    if i >= len(version.answers):
        return "<td></td>"
    answer = version.answers[i]
    name = escape(version.name or "original", quote=True)
    return f'<td data-version="{name}">{marked(answer).lstrip()}{_judgement(answer)}</td>'


def _judgement(answer: Answer) -> str:
    if answer.right is None:
        return ""
    return f"<small>{'✓ right' if answer.right else '✕ wrong'}</small>"


def _css(style: Look) -> str:
    tone = style.harm[2]
    return f"""<style>
.answers {{ overflow-x: auto }}
.answers table {{ border-collapse: collapse; width: 100%; font-size: 0.9rem }}
.answers caption {{ position: absolute; left: -999rem }}
.answers th, .answers td {{ text-align: left; vertical-align: top; padding: 0.5rem 0.7rem;
  border-top: 1px solid {style.line}; min-width: 9rem; white-space: pre-wrap;
  overflow-wrap: anywhere; font-weight: 400 }}
.answers thead th {{ color: {style.quiet}; border-top: none }}
.answers tbody th {{ color: {style.quiet}; min-width: 12rem; max-width: 24rem }}
.answers small {{ display: block; color: {style.quiet}; font-size: 0.8rem; margin-top: 0.3rem }}
.answers mark {{ background: {tone}; color: {ink_on(tone)}; border-radius: 0.2rem }}
@media (max-width: 40rem) {{
  .answers thead {{ display: none }}
  .answers tr, .answers td, .answers tbody th {{ display: block; max-width: none }}
  .answers td {{ border-top: none; padding: 0.2rem 0 0.2rem 0.8rem }}
  .answers tbody th {{ padding: 0.8rem 0 0.2rem }}
  .answers td::before {{ content: attr(data-version); display: block; color: {style.quiet};
    font-size: 0.8rem }}
}}
</style>"""
