"""Ask a farm: the same verdicts as on the desk, from whoever is there."""

import dataclasses
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import profiles
from harness.devices.connect import Origin
from harness.devices.emulated import Emulated
from harness.errors import DeviceError
from harness.images import Size
from harness.placement import Placement
from harness.profiles import Target
from harness.requests import Request, Verb
from harness.results import Results, latest, load
from tests import models, phones

pytestmark = [pytest.mark.farm, pytest.mark.slow]

pytest.importorskip("distributed")
pytest.importorskip("cryptography")

from harness.farm import certs  # noqa: E402
from tests import farms  # noqa: E402
from tests.farms import Farm  # noqa: E402

SIZE = Size(width_px=32, height_px=32)


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with farms.farm(tmp_path / "farm") as made:
        yield made


@pytest.fixture
def emulated(farm: Farm) -> Farm:
    farm.start_host("near", emulated=2)
    farm.wait(lambda fleet: len(fleet.of("emulated")) == 2)
    return farm


def _target(name: str = "pixel4:nnapi") -> Target:
    (target,) = profiles.select(profiles.load_all([profiles.shipped_folder()]), [name])
    return target


def _request(data: bytes, verb: Verb = Verb.PLACE, target: str = "pixel4:nnapi") -> Request:
    return Request(target=_target(target), verb=verb, model=models.model(data), size=SIZE)


def _rulings(results: Results) -> set[tuple[str, str, str, str, str, float | None]]:
    return {
        (r.test, r.verdict.gate, r.verdict.metric, r.verdict.outcome.value,
         r.verdict.evidence.value, r.verdict.observed)
        for r in results.records
    }  # fmt: skip


def test_a_farm_without_phones_gives_the_verdicts_of_the_desk(
    emulated: Farm, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.runpytest_subprocess("--device=pixel4,pixel4:cpu", "--origin=emulated")
    desk = _rulings(load(latest(project.path)))
    monkeypatch.setenv("HARNESS_CACHE", str(project.path / "judge"))

    project.runpytest_subprocess("--device=pixel4,pixel4:cpu", f"--lab={emulated.name}")

    there = load(latest(project.path))
    assert there.run.lab == emulated.name
    assert len(desk) > 20
    assert _rulings(there) == desk
    assert sum(s.answered for s in emulated.wait(lambda _: True).of("emulated")) > 0
    sent = list((emulated.folder / "near" / "contents").iterdir())
    assert len(sent) == len({path.name for path in sent}) == 4  # two variants, two frames


def test_a_profile_that_no_phone_of_the_farm_has_is_an_error_at_once(emulated: Farm) -> None:
    lab = emulated.lab(Origin.PHONE)

    (fact,) = lab.answer([_request(models.unet(size_px=32))])

    lab.close()
    assert isinstance(fact.error, DeviceError)
    assert "no phone of pixel4" in str(fact.error)


def test_the_scheduler_may_end_and_come_back_while_it_is_asked(emulated: Farm) -> None:
    sizes = [Size(width_px=width, height_px=32) for width in range(32, 32 * 30, 32)]
    model = models.model(models.unet(size_px=32))
    asked = [
        Request(target=_target(), verb=verb, model=model, size=size)
        for size in sizes
        for verb in (Verb.PLACE, Verb.TIME)
    ]
    lab = emulated.lab()
    facts = []
    for fact in lab.answer(asked):
        facts.append(fact)
        if len(facts) == 5:
            farms.kill(emulated.running["scheduler"])
            emulated.start_scheduler()

    lab.close()
    assert sorted(f.request.key for f in facts) == sorted(r.key for r in asked)
    assert [str(f.error) for f in facts if f.error] == []


def test_a_run_that_was_killed_goes_on_with_the_facts_that_it_has(
    farm: Farm, project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.start_host("near", emulated=1)
    farm.wait(lambda fleet: len(fleet.of("emulated")) == 1)
    monkeypatch.setenv("HARNESS_CACHE", str(project.path / "judge"))
    tests = ["--device=pixel4", "--subject=unet.fp32", f"--lab={farm.name}"]
    with project.popen([sys.executable, "-m", "pytest", *tests]) as process:
        phones.wait_until(lambda: len(_facts(project.path)) >= 3, limit_s=120)
        process.kill()
    before, run = _facts(project.path), load(latest(project.path)).run.id

    project.runpytest_subprocess(*tests, "--resume")

    results = load(latest(project.path))
    assert results.end is not None
    assert [fact.request for fact in results.facts[: len(before)]] == before
    assert len({fact.request for fact in results.facts}) == len(results.facts) > len(before)
    assert [plan.resumes for plan in results.plans] == [run]


def _facts(folder: Path) -> list[str]:
    """Return the keys of the facts of the latest run, as far as it has begun."""
    if not any(path.stat().st_size for path in folder.glob(".results/*.jsonl")):
        return []
    return [fact.request for fact in load(latest(folder)).facts]


def test_a_scheduler_that_stays_away_ends_in_errors_and_not_in_waiting(emulated: Farm) -> None:
    lab = emulated.lab(more="?patience=2")
    lab.open()
    farms.kill(emulated.running["scheduler"])

    facts = list(lab.answer([_request(models.unet(size_px=32))]))

    lab.close()
    assert isinstance(facts[0].error, DeviceError)


def test_who_has_a_certificate_of_another_authority_is_not_let_in(tmp_path: Path) -> None:
    ours, others = tmp_path / "ours", tmp_path / "others"
    certs.make(ours)
    certs.make(others)
    with farms.farm(tmp_path / "farm", certs=ours) as farm:
        farm.start_host("near", emulated=1)
        farm.wait(lambda fleet: len(fleet.of("emulated")) == 1)
        stranger = dataclasses.replace(farm, certs=others).lab()

        with pytest.raises(DeviceError):
            stranger.open()

        friend = farm.lab()
        (fact,) = friend.answer([_request(models.unet(size_px=32))])
        friend.close()
    here = Emulated(_target()).place(models.model(models.unet(size_px=32)))
    assert isinstance(fact.answer, Placement)
    assert fact.answer.nodes == here.nodes


def test_certificates_are_short_lived_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    written = certs.make(tmp_path / "c", names=["lab", "10.0.0.7"], days=7)
    again = certs.make(tmp_path / "c", days=7)

    assert {path.name for path in written} == {
        "ca.pem", "ca.key", "scheduler.pem", "host.pem", "client.pem",
    }  # fmt: skip
    assert "ca.pem" not in {path.name for path in again}
    secret = [path for path in written if path.name != "ca.pem"]
    assert {path.stat().st_mode & 0o077 for path in secret} == {0}
    left_days = (certs.expires_utc(tmp_path / "c/host.pem").timestamp() - time.time()) / 86_400
    assert 6 < left_days <= 7
    context = ssl.create_default_context(cafile=str(tmp_path / "c/ca.pem"))
    context.load_cert_chain(str(tmp_path / "c/host.pem"))
