"""Keep an estimate beside each latency that a phone measured in a gate run."""

from collections.abc import Iterable
from pathlib import Path

from harness import ledger
from harness.errors import HarnessError
from harness.evidence import Evidence
from harness.latency import Latency
from harness.requests import Fact


def write(facts: Iterable[Fact], path: Path) -> None:
    """Estimate what phones measured and append each pair, once the phones are given back.

    An estimate that fails or is only relative, or a file that cannot be written, costs no
    measurement: the gates asked for that only.
    """
    timed = [
        (fact.request, fact.answer)
        for fact in facts
        if isinstance(fact.answer, Latency) and fact.answer.provenance.evidence is Evidence.PHONE
    ]
    if not timed:
        return
    from harness.devices.emulated import Emulated

    for request, measured in timed:
        try:
            estimated = Emulated(request.target).time(request.sized)
            if estimated.absolute:
                entry = ledger.pair(request.about, estimated=estimated, measured=measured)
                ledger.append(path, entry)
        except HarnessError:
            continue
