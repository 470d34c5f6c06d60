"""Long work beside the page: a place in the queue, a panel to watch and cancel it.

A rerun of the script does not stop what the last one began, so long work never runs inside the
script. A job is an iterator that yields its progress every 150 ms or sooner; between two steps it
looks whether somebody cancelled it or nobody watches it any more. One job a session.

What cannot be done is refused before it queues: `start` makes the iterator at once, and whoever
makes it checks what it was given.
"""

import atexit
import os
from collections.abc import Callable, Iterator

import streamlit as st

from pages.shared import look, visitor
from pages.shared.frame import sentence
from pages.shared.job_pool import Ahead, Job, Pool
from pages.shared.outside import as_text
from pages.shared.units import are, duration, plural
from quantcore.progress import Progress

WORKERS = max(1, (os.cpu_count() or 1) // 2)
REDRAW_S = 0.7

_UNSEEN = "_unseen_jobs"  # by title: done, and followed by another before their panel was drawn


@st.cache_resource
def _pool() -> Pool:
    pool = Pool(WORKERS)
    atexit.register(_end, pool)
    return pool


def _end(pool: Pool) -> None:
    """End what runs when the server ends: Ctrl-C does not wait, and keeps what was found."""
    if not pool.close():
        os._exit(0)  # a step that compiles, say: Python cannot end below it without a crash


def start(title: str, begin: Callable[[], Iterator[Progress]], seconds: float | None = None) -> Job:
    """Begin this session's job; one that still runs is cancelled.

    One that is done, but whose panel was not drawn since, waits for it. `seconds` is what it is
    expected to take on a machine as fast as the one that estimates were made on.

    Raises
    ------
    ValueError
        If `begin` refuses what it was given, or too many jobs wait already; then nothing has
        changed.
    """
    job = Job(title, begin, _pool().expected(title, seconds), visitor.present())
    _pool().submit(job)
    if former := current():
        former.cancel()
        if former.state == "done":
            st.session_state.setdefault(_UNSEEN, {})[former.title] = former
    st.session_state["_job"] = job
    return job


def current() -> Job | None:
    """Return the job of this session, finished or not."""
    return st.session_state.get("_job")


def busy() -> bool:
    """Whether this session's job waits or runs, whatever it is."""
    job = current()
    return job is not None and job.active


def button(
    label: str,
    *,
    key: str,
    title: str,
    begin: Callable[[], Iterator[Progress]],
    seconds: float | None = None,
    unable: str = "",
    help: str | None = None,
) -> bool:
    """Draw the button that begins a run, and say beside it what the run will take, or why it can't.

    Parameters
    ----------
    title
        What a sentence calls the run; `panel` is called with the same.
    begin
        Makes the iterator of the run. What it refuses is said here, and does not queue.
    seconds
        Estimate of what the run takes.
    unable
        Why it cannot begin, in a sentence; empty where it can.

    Returns
    -------
    bool
        Whether it has begun: the caller remembers what it needs to, and draws the page again.
    """
    why = as_text(unable or _occupied(title))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        pressed = st.button(label, key=key, disabled=bool(why), help=why or help)
        expected = _pool().expected(title, seconds)
        if says := why or beforehand(expected, _pool().ahead_of()):
            look.note(says)
    if not pressed:
        return False
    try:
        start(title, begin, seconds)
    except (ValueError, OSError) as problem:
        look.problem(sentence(problem))
        return False
    return True


def _occupied(title: str) -> str:
    """Say that this session's job keeps another from beginning; nothing where there is none."""
    job = current()
    if job is None or not job.active:
        return ""
    if job.title == title:
        return "It is on its way: see below."
    return f"One run at a time, and {job.title} is on its way: wait for it, or cancel it there."


def beforehand(seconds: float | None, ahead: Ahead) -> str:
    """Say what a run will take before it begins, and what is ahead of it.

    >>> beforehand(40, Ahead(0, 0.0))
    'Takes about 40 seconds, by estimate.'
    >>> beforehand(None, Ahead(2, 300.0))
    '2 other runs are ahead, about 5 minutes by estimate.'
    """
    takes = "" if seconds is None else f"Takes about {duration(seconds)}, by estimate."
    return f"{takes} {_queue(ahead)}".strip()


def _queue(ahead: Ahead) -> str:
    """Say how many runs are ahead, and how long they will take."""
    if not ahead.n_jobs:
        return ""
    runs = f"{plural(ahead.n_jobs, 'other run')} {are(ahead.n_jobs)} ahead"
    wait = "" if ahead.seconds is None else f", about {duration(ahead.seconds)} by estimate"
    return f"{runs}{wait}."


def panel(title: str, draw: Callable[[Progress], None] | None = None) -> Job | None:
    """Draw the job of this title while it waits or runs: stage, time left, progress, cancel.

    It belongs beside the button that began the job. Where results are drawn above that, `ended`
    takes them in first, and `watch` stands in this one's place.

    Parameters
    ----------
    title
        As it was given to `start`. A job of another title is another section's affair.
    draw
        Draws more of the latest step below the progress bar, such as a chart of results so far.

    Returns
    -------
    Job | None
        The job, once, in the first run after its end: what it found is the caller's to keep, and
        whether it was cancelled the caller's to say. Why it failed has been said here.
    """
    _draw_active(title, draw)
    job = ended(title)
    if job is not None and job.state == "failed":
        look.problem(job.problem)
    return job


def watch(title: str, draw: Callable[[Progress], None] | None = None) -> None:
    """Draw the job of this title while it waits or runs, as `panel` does.

    For a page that has asked for what `ended` earlier in the same run: where the job has come to
    its end since, the page is drawn again, or what was found would wait for the next click.
    """
    _draw_active(title, draw)
    job = current()
    if job is not None and job.title == title and not job.active:
        st.rerun()


def _draw_active(title: str, draw: Callable[[Progress], None] | None) -> None:
    job = current()
    if job is not None and job.title == title and job.active:
        _watch(title, draw)


def ended(title: str) -> Job | None:
    """Take the job of this title, once, in the first run after its end."""
    job = current()
    if job is None or job.title != title:
        return st.session_state.get(_UNSEEN, {}).pop(title, None)
    if job.active:
        return None
    st.session_state.pop("_job", None)
    return job


@st.fragment(run_every=REDRAW_S)
def _watch(title: str, draw: Callable[[Progress], None] | None) -> None:
    job = current()
    if job is None or not job.active or job.title != title:
        st.rerun()
    with st.container(border=True, key="job_panel"):
        step = job.latest
        if step is None:
            look.say(_waiting(_pool().ahead_of(job)))
        else:
            look.say(f"**{step.stage}**{_left(job.left_s)}")
        st.progress(min(step.share, 1.0) if step else 0.0)
        if step and draw:
            draw(step)
        st.button("Cancel", key="cancel_job", on_click=job.cancel)


def _waiting(ahead: Ahead) -> str:
    """Say how long the queue is.

    >>> _waiting(Ahead(0, 0.0)), _waiting(Ahead(1, None))
    ('Starting.', 'Waiting: 1 other run is ahead.')
    """
    return f"Waiting: {_queue(ahead)}" if ahead.n_jobs else "Starting."


def _left(seconds: float | None) -> str:
    """Say how much time is left.

    >>> _left(1.2), _left(600), _left(None)
    (', about 1 second left', ', about 10 minutes left', '')
    """
    return "" if seconds is None else f", about {duration(seconds)} left"
