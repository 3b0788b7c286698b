"""Let what is lent be given back where this process is told to stop."""

import signal
import threading


def as_interrupt() -> None:
    """Take SIGTERM like Ctrl-C, so that every `finally` runs and the lab is closed.

    A handler that the program has set is left alone; only the main thread may set one.
    """
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    ):
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def as_before() -> None:
    """Take SIGTERM as it was taken before `as_interrupt`."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    ):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
