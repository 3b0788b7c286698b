"""A run that is over as a lab: what it measured answers, and nothing is measured again."""

from collections.abc import Iterator, Sequence

from harness import fact_files
from harness.errors import ConfigError, MeasurementError
from harness.profiles import Target
from harness.requests import Fact, Request
from harness.results import Results


class RunLab:
    """The facts of one run, for who accepts or judges what it measured."""

    def __init__(self, found: Results) -> None:
        """Take a run as it was read.

        Raises:
            ConfigError: it did not run to its end, so that nobody knows what it lacks.
        """
        if found.end is None:
            raise ConfigError(
                f"{found.path}: run {found.run.id} did not end; finish it with `--resume`"
            )
        self._found = found
        self._root = found.path.resolve().parent.parent
        self._taken = {one.request: one for one in found.facts}
        self.name = found.run.lab

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the phones and delegates that the run ruled on, such as `pixel4:gpu`."""
        named = (f"{record.device}:{record.delegate}" for record in self._found.records)
        return tuple(dict.fromkeys(named))

    def open(self) -> None:
        """Reach nothing: all is there."""

    def answer(self, requests: Sequence[Request]) -> Iterator[Fact]:
        """Yield the run's fact for each request, or an error where it has none."""
        for request in requests:
            taken = self._taken.get(request.key)
            fact = fact_files.read(taken, request, self._root) if taken is not None else None
            yield fact or Fact(request=request, error=self._lack(request))

    def _lack(self, request: Request) -> MeasurementError:
        taken = self._taken.get(request.key)
        if taken is not None and taken.error:
            why = f"there it ended in an error: {taken.error}"
        elif taken is not None:
            why = "its image was computed by the host that judged, and is not kept"
        else:
            why = "it asked no such thing of this file, frame and profile as they are now"
        return MeasurementError(f"run {self._found.run.id} has no answer to: {request}; {why}")

    def fingerprint(self, target: Target) -> str:
        """Return who answered, by the run."""
        return f"{target} of run {self._found.run.id}"

    def findings(self) -> list[str]:
        """Return nothing: the run has said its own."""
        return []

    def close(self) -> list[str]:
        """Release nothing."""
        return []
