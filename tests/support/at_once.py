"""The same work in several threads that begin together."""

import threading
from concurrent.futures import ThreadPoolExecutor

N = 6


def at_once(work):
    """Call a function of a number, 0 to N - 1, in as many threads."""
    together = threading.Barrier(N)

    def begin(number):
        together.wait()
        return work(number)

    with ThreadPoolExecutor(N) as pool:
        return list(pool.map(begin, range(N)))
