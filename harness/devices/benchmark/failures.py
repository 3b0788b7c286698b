"""Say in a person's words why a tool ended on a phone with an exit code other than 0."""

import signal

CANNOT_BE_RUN = "cannot be run"
"""Begins the sentence where the phone has no use for the tool at all."""


def explain(exit_code: int, output: str, *, hung_s: float | None = None) -> str:
    """Return what a tool did: the rest of a sentence that begins with its name.

    Args:
        exit_code: As the shell has it: above 128 a signal.
        output: All that it printed.
        hung_s: The limit in seconds at which it was stopped, or None where it was not.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "ERROR" in line or "rror:" in line or "Failed" in line]
    said = "; ".join((errors or lines)[-3:])[-400:] or "it printed nothing"
    if exit_code in (124, 137) and hung_s is not None:
        return f"hung and was stopped after {hung_s:g} s"
    if exit_code in (126, 127) or "not executable" in output:
        return f"{CANNOT_BE_RUN} ({said})"
    if exit_code > 128:
        number = exit_code - 128
        known = {int(s): s.name for s in signal.Signals}
        return f"or a driver in it crashed ({known.get(number, f'signal {number}')}): {said}"
    return f"failed with exit code {exit_code}: {said}"
