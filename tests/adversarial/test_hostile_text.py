"""Text from models, phones, locks, profiles and files never reaches a terminal raw."""

import json
import re
from pathlib import Path

import pytest

from harness import errors, graph, results, schema
from harness.devices.phone import identity
from harness.devices.phone.lock import HOME
from harness.errors import DeviceError, GateError, HarnessError
from harness.evidence import Evidence, Provenance
from harness.placement import NodePlacement
from harness.report import terminal
from harness.results import Record
from harness.verdict import Outcome, Sense, Verdict
from tests import models, phones, tiny
from tests.phones import Plugged

EVIL = "\x1b]0;owned\x07\x9b2J\r\nPASS fidelity: 99 dB\u202e\u2028\x00end"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def assert_harmless(shown: str, *, lines_may_end: bool = False) -> None:
    assert "owned" in shown, "what was said is not shown at all"
    assert not RAW.search(shown), repr(shown)
    assert not any(line.startswith("PASS") for line in shown.splitlines())
    if not lines_may_end:
        assert "\n" not in shown


def evil_model() -> bytes:
    """Return a model whose tensors and custom op are named by a stranger."""
    builder = models.ModelBuilder()
    image = builder.activation((1, 8, 8, 3), name=EVIL)
    made = builder.activation((1, 8, 8, 3), name=EVIL + "x" * 100_000)
    builder.op(EVIL, [image], [made])
    return builder.build([image], [made])


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--device", "pixel4"], ["--device", "all"]])
def test_names_of_a_model(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "evil.tflite"
    path.write_bytes(evil_model())

    tiny.command("inspect", path, *arguments)

    out, err = capsys.readouterr()
    assert not RAW.search(out + err)
    assert len(out) < 100_000
    assert not any(line.startswith("PASS") for line in (out + err).splitlines())


@pytest.mark.parametrize(
    "kind",
    [each for each in vars(errors).values() if isinstance(each, type)],
    ids=lambda kind: kind.__name__,
)
def test_the_message_of_any_error(kind: type[Exception]) -> None:
    shown = str(kind(f"{EVIL} " + "x" * 1_800_000))

    assert not RAW.search(shown)
    assert len(shown) < 3000
    if issubclass(kind, HarnessError):
        assert_harmless(shown)


def test_a_ruling_and_all_that_is_made_of_it() -> None:
    ruled = Verdict(
        gate="fidelity", metric="psnr_db", sense=Sense.AT_LEAST, outcome=Outcome.INCONCLUSIVE,
        cause=EVIL, remedy=EVIL, provenance=Provenance(
            evidence=Evidence.PHONE, device=EVIL, variant_sha256="0", runtime={EVIL: EVIL},
            device_state={"build": EVIL, "temperature_c": 30.0}, note=EVIL,
        ),
    )  # fmt: skip
    node = NodePlacement(index=0, op=EVIL, unit="cpu", reason=EVIL, remedy=EVIL)
    record = Record(
        test="t", subject="s", variant="v", device="d", delegate="cpu", resolution="8x8",
        verdict=ruled,
    )  # fmt: skip

    assert_harmless(str(ruled))
    assert_harmless(str(GateError(f"{ruled}\n{ruled}")), lines_may_end=True)
    assert_harmless(f"{node.op} {node.reason} {node.remedy}")
    stored = schema.dump(record)
    assert_harmless(json.dumps(stored, ensure_ascii=False))
    assert schema.parse(results.Record, stored, where="x") == record
    for color in (False, True):
        drawn = terminal.summary([record], {("d", EVIL): [EVIL]}, width=80, color=color)
        assert_harmless(re.sub("\x1b\\[[0-9;]*m", "", drawn), lines_may_end=True)


def test_what_a_phone_says_it_is(plugged: Plugged) -> None:
    (plugged.folder.state / "props" / "ro.product.model").write_text("\x1b]0;owned\x07\u202e")

    found = identity.identify(plugged.connection)

    assert_harmless(str(found))


def test_the_owner_of_a_lock(plugged: Plugged) -> None:
    lock = plugged.folder.root / HOME.lstrip("/") / "lock"
    lock.mkdir(parents=True)
    boot = plugged.connection.shell(
        "cat /proc/sys/kernel/random/boot_id", stage="asking", timeout_s=10.0
    ).stdout.strip()
    uptime = plugged.connection.shell("cat /proc/uptime", stage="asking", timeout_s=10.0).stdout
    expiry = int(float(uptime.split()[0])) + 300
    (lock / "owner").write_text(f"them.1 {expiry} {boot} \x1b]0;owned\x07{'x' * 9000}\n")

    with pytest.raises(DeviceError, match="in use by another harness") as caught:
        plugged.phone().place(phones.model().at(phones.SIZE))

    assert_harmless(str(caught.value))


@pytest.mark.parametrize("key", ["title", "soc", "source", "name"])
def test_a_profile_that_cannot_be_printed_is_refused(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = (Path(__file__).parents[2] / "device_profiles" / "pixel4.toml").read_text()
    edited = re.sub(rf'^{key} = ".*"$', rf'{key} = "\\u001b]0;owned\\u0007"', shipped, flags=re.M)
    assert edited != shipped
    (tmp_path / "evil.toml").write_text(edited)

    code = tiny.command("devices", "--profiles", tmp_path)

    out, err = capsys.readouterr()
    assert code == 2
    assert f"evil.toml: {key}: " in err
    assert_harmless(err.strip())
    assert out == ""


def test_a_custom_op_that_takes_a_builtins_name_is_not_taken_for_it() -> None:
    builder = models.ModelBuilder()
    image = builder.activation((1, 8, 8, 3), name="image")
    weights, bias = builder.weights((3, 3, 3, 3)), builder.bias(3)
    made = builder.activation((1, 8, 8, 3), name="made")
    builder.op("CONV_2X", [image, weights, bias], [made])
    model = builder.build([image], [made]).replace(b"CONV_2X", b"CONV_2D")

    (op,) = graph.parse(model).ops

    assert op.name == "custom CONV_2D"
    assert op.macs == 0
