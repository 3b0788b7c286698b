"""Do, inside a worker, whatever a worker should survive; run by test_worker.py."""

import os
import subprocess
import sys
import time

from harness.errors import ModelError
from harness.worker import serve


def pid() -> int:
    return os.getpid()


def echo(*values: object) -> tuple[object, ...]:
    return values


def chatter(text: str) -> str:
    os.write(1, text.encode())
    os.write(2, text.encode())
    return text


def refuse() -> None:
    raise ModelError("this model is refused")


def crash(number: int) -> None:
    os.write(2, b"about to crash\n")
    os.kill(os.getpid(), number)


def leave() -> None:
    sys.exit(7)


def surprise() -> None:
    raise KeyError("what nobody thought of")


def hang(note: str) -> None:
    """Start a grandchild, write down its id, and never answer."""
    grandchild = subprocess.Popen(["sleep", "1000"])
    with open(note, "w", encoding="utf-8") as file:
        file.write(str(grandchild.pid))
    time.sleep(1000)


def burn() -> None:
    """Keep a core busy and never answer."""
    while True:
        pass


def meet(mine: str, other: str) -> int:
    """Come to a meeting, and wait until the other one is there too."""
    open(mine, "w", encoding="utf-8").close()
    while not os.path.exists(other):
        time.sleep(0.01)
    return os.getpid()


class Evil:
    """An object whose unpickling runs code."""

    def __init__(self, note: str) -> None:
        self._note = note

    def __reduce__(self) -> object:
        return open, (self._note, "w")


def subvert(note: str) -> Evil:
    """Answer as native code would that a model has taken over."""
    return Evil(note)


def swallow(mib: int) -> int:
    return len(bytearray(mib * 2**20))


if __name__ == "__main__":
    serve(
        {
            f.__name__: f
            for f in (
                pid,
                echo,
                chatter,
                refuse,
                crash,
                leave,
                surprise,
                hang,
                burn,
                meet,
                subvert,
                swallow,
            )
        }
    )
