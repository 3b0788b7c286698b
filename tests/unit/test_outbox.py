"""Tests of what brings the facts of a run into a history that is away now and then."""

from harness.errors import ConfigError
from harness.fact_lines import Taken
from harness.plugin.outbox import Outbox, plan_of


class History:
    """A history that does not answer at first, and breaks in the middle once."""

    def __init__(self, away: int = 0, breaks_at: str = "") -> None:
        self.away = away
        self.breaks_at = breaks_at
        self.asked: list[str] = []
        self.taken: list[tuple[str, str, str]] = []

    def __call__(self) -> "History":
        if self.away > 0:
            self.away -= 1
            raise ConfigError("it does not answer")
        return self

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        """Stay as it is."""

    def note(self, run: str, plan: str, requests: list[str]) -> None:
        self.asked += requests

    def accept(self, run: str, plan: str, lines: dict[str, str]) -> None:
        (request,) = lines
        if request == self.breaks_at:
            self.breaks_at = ""
            raise ConfigError("the connection broke")
        self.taken.append((run, plan, request))


def _taken(request: str) -> Taken:
    return Taken(
        device="d", delegate="gpu", subject="s", variant="v", resolution="8x8", frame="",
        request=request, verb="place", file_sha256="0" * 64,
    )  # fmt: skip


def test_what_a_history_missed_while_it_was_away_is_written_when_it_is_back() -> None:
    history = History(away=3, breaks_at="b")
    outbox = Outbox("run", plan_of(["t"], {}), store=history, again_s=0.01)  # type: ignore[arg-type]
    outbox.ask(["a", "b", "c"])
    for request in "abc":
        outbox.take(_taken(request))

    outbox._thread.join(timeout=0.5)
    outbox.close()

    assert history.asked == ["a", "b", "c"]
    assert history.taken == [("run", plan_of(["t"], {}), request) for request in "abc"]


def test_a_history_that_stays_away_holds_up_no_end() -> None:
    history = History(away=10**6)
    outbox = Outbox("run", plan_of(["t"], {}), store=history, again_s=3600.0)  # type: ignore[arg-type]
    outbox.take(_taken("a"))

    outbox.close(limit_s=20.0)

    assert not outbox._thread.is_alive()


def test_only_runs_of_the_same_tests_asked_alike_have_one_plan() -> None:
    assert plan_of(["a"], {"origin": "phone"}) != plan_of(["a"], {"origin": "emulated"})
    assert plan_of(["a", "b"], {}) == plan_of(["b", "a"], {})
    assert plan_of(["a", "b"], {}) != plan_of(["a"], {})
