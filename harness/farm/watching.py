"""What goes on in a farm: for a person, for a program, and for Prometheus."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from harness import extras, schema
from harness.errors import HarnessError, StackMissing
from harness.farm import engine
from harness.farm.engine import AwayError
from harness.farm.fleet import Fleet
from harness.farm.links import Address


class Watch:
    """A look at a farm now and then; it is connected again after the scheduler was away."""

    def __init__(self, address: Address, *, certs: Path | None) -> None:
        """Describe it; the first look connects."""
        self._address = address
        self._certs = certs
        self._client: Any = None

    def look(self) -> Fleet:
        """Return who is there.

        Raises:
            AwayError: the scheduler does not answer.
        """
        if self._client is None or self._client.status != "running":
            self._drop()
            self._client = engine.connect(self._address, self._certs)
        return engine.look(self._client)

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            engine.close(client)

    def __enter__(self) -> Self:
        """Return it, to be left at the end of a `with`."""
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the farm."""
        self._drop()


def plain(fleet: Fleet) -> dict[str, Any]:
    """Return a fleet as JSON can hold it, sorted by name."""
    stations = sorted(fleet.stations.values(), key=lambda one: one.name)
    return {
        "hosts": sorted(fleet.hosts),
        "stations": schema.dump(stations),
        "quarantined": schema.dump(fleet.quarantined),
    }


def serve_metrics(watch: Watch, port: int) -> None:
    """Serve metrics in the text format of Prometheus on a loopback port, in a thread.

    Raises:
        StackMissing: the extra `farm` is not installed.
        HarnessError: the port is taken.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
    except ModuleNotFoundError as error:
        raise StackMissing(
            f"{error.name} is not installed; {extras.install_command('farm')} adds it"
        ) from None
    registry = CollectorRegistry()
    registry.register(_Collector(watch))
    try:
        start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise HarnessError(f"port {port}: cannot listen there ({error.strerror})") from None


class _Collector:
    """What Prometheus reads; each scrape is a look."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        up = GaugeMetricFamily("harness_farm_up", "Whether the scheduler answers")
        try:
            fleet = self._watch.look()
        except AwayError:
            up.add_metric([], 0)
            yield up
            return
        up.add_metric([], 1)
        yield up
        yield from families(fleet)


def families(fleet: Fleet) -> Iterator[Any]:
    """Yield the metrics of a fleet as families of prometheus_client."""
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    stations = fleet.stations.values()
    states = Counter((s.kind, "idle" if s.busy_s is None else "busy") for s in stations)
    states.update((phone.kind, "quarantined") for phone in fleet.quarantined)
    by_state = GaugeMetricFamily(
        "harness_farm_stations", "Stations by profile and state", labels=["profile", "state"]
    )
    for labels, number in sorted(states.items()):
        by_state.add_metric(list(labels), number)
    yield by_state
    yield GaugeMetricFamily("harness_farm_hosts", "Hosts", value=len(fleet.hosts))
    waiting = sum(station.queued for station in stations)
    yield GaugeMetricFamily("harness_farm_queue", "Requests at stations", value=waiting)
    oldest_s = max((s.busy_s or 0.0 for s in stations), default=0.0)
    yield GaugeMetricFamily(
        "harness_farm_oldest_request_seconds", "Age of the oldest request worked on", value=oldest_s
    )
    answered = CounterMetricFamily("harness_farm_answered", "Answers", labels=["station"])
    failed = CounterMetricFamily("harness_farm_failed", "Failures", labels=["station"])
    for station in stations:
        answered.add_metric([station.name], station.answered)
        failed.add_metric([station.name], station.failed)
    yield answered
    yield failed
    total = sum(s.answered + s.failed for s in stations)
    void = sum(s.failed for s in stations) / total if total else 0.0
    yield GaugeMetricFamily("harness_farm_void_ratio", "Failures of all questions", value=void)
