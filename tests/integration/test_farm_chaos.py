"""Ask a farm while its hosts, phones and scheduler are broken at random.

`make chaos` runs it larger and with another seed each time; HARNESS_CHAOS_SIZE is
HOSTSxPHONESxREQUESTS, HARNESS_CHAOS_SEED chooses requests and trouble, HARNESS_CHAOS_KINDS (such
as kill_scheduler,unplug) the only troubles that come. Networks are cut where this is root on Linux.
"""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import DeviceError, MeasurementError

pytestmark = [pytest.mark.farm, pytest.mark.slow, pytest.mark.chaos]

pytest.importorskip("distributed")

from tests import chaos, namespaces  # noqa: E402
from tests.chaos import Scale  # noqa: E402

TROUBLES_MIN = 8


def _scale() -> Scale:
    size = os.environ.get("HARNESS_CHAOS_SIZE", "2x2x100")
    hosts, phones, requests = (int(part) for part in size.split("x"))
    return Scale(
        hosts=hosts,
        phones=phones,
        requests=requests,
        request_s=float(os.environ.get("HARNESS_CHAOS_REQUEST_S", "0.1")),
        seed=int(os.environ.get("HARNESS_CHAOS_SEED", "1")),
        rounds=int(os.environ.get("HARNESS_CHAOS_ROUNDS", "1")),
        limit_s=float(os.environ.get("HARNESS_CHAOS_LIMIT_S", "300")),
        networks=namespaces.available(),
        cut_s=float(os.environ.get("HARNESS_CHAOS_CUT_S", "15")),
        kinds=tuple(one for one in os.environ.get("HARNESS_CHAOS_KINDS", "").split(",") if one),
    )


def test_each_request_ends_once_and_right_whatever_breaks_and_phones_are_left_clean(
    tmp_path: Path,
) -> None:
    scale = _scale()
    with chaos.site(tmp_path, scale) as site:
        before = [phone.folder.settings() for phone in site.phones]

        outcome = chaos.run(site, calm=False)

        print(f"seed {scale.seed}: {outcome}")
        site.wait_until_well()
        assert site.end_hosts() == dict.fromkeys(site.plugged, 0), site.farm.logs()
        assert all(phone.wait_until_quiet() for phone in site.phones)
        assert site.dirty(before) == []
    assert sorted(fact.request.key for fact in outcome.facts) == sorted(
        request.key for request in chaos.requests(scale)
    )
    answered = [fact for fact in outcome.facts if fact.error is None]
    assert all(chaos.is_right(fact) for fact in answered)
    assert len(answered) > scale.requests / 2, outcome.errors
    errors = [fact.error for fact in outcome.facts if fact.error is not None]
    assert all(isinstance(error, (DeviceError, MeasurementError)) for error in errors)
    # Every scheduler and phone comes back, so nothing ends for want of one.
    for_want = ("is away", "is there; the farm has", "is in quarantine", "for nothing")
    assert [str(e) for e in errors if any(why in str(e) for why in for_want)] == []


def test_a_plan_is_judged_as_in_a_calm_night_whatever_breaks(
    tmp_path: Path, blessed_golden: Path
) -> None:
    scale = replace(_scale(), hosts=2, phones=2, models=True)
    with chaos.site(tmp_path, scale) as site:
        log = chaos.assert_judged_alike(site, blessed_golden)

        assert site.end_hosts() == dict.fromkeys(site.plugged, 0), site.farm.logs()
    assert len(log) >= TROUBLES_MIN
