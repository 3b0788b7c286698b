"""Tests of strict TOML and JSON."""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import schema
from harness.errors import ConfigError


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    spokes: int
    colour: Colour = Colour.RED


@dataclass(frozen=True, kw_only=True)
class Cart:
    name: str
    load_kg: float
    wheels: tuple[Wheel, ...] = ()
    axes: tuple[float, float] | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    sealed: bool = False
    plan: Path = Path()
    tag: float | str = ""


def test_a_whole_file_becomes_dataclasses(tmp_path: Path) -> None:
    path = tmp_path / "cart.toml"
    path.write_text(
        'name = "a"\nload_kg = 3\nsealed = true\nplan = "x/y"\naxes = [1, 2.5]\n'
        '[[wheels]]\nspokes = 7\ncolour = "blue"\n[notes]\nwhere = "here"\n'
    )

    cart = schema.load_toml(Cart, path)

    assert cart == Cart(
        name="a", load_kg=3.0, sealed=True, plan=Path("x/y"), axes=(1.0, 2.5),
        wheels=(Wheel(spokes=7, colour=Colour.BLUE),), notes={"where": "here"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "a"}, "here: missing key load_kg"),
        (
            {"name": "a", "load_kg": 1, "wheel": 1},
            "here: unknown key wheel; known keys: axes, load",
        ),
        ({"name": 1, "load_kg": 1}, "here: name: expected str, found int 1"),
        ({"name": "a", "load_kg": True}, "here: load_kg: expected float, found bool True"),
        ({"name": "a", "load_kg": "1"}, "here: load_kg: expected float, found str '1'"),
        ({"name": "a", "load_kg": 1, "sealed": 1}, "here: sealed: expected bool, found int 1"),
        ({"name": "a", "load_kg": 1, "axes": [1]}, "here: axes: expected 2 values, found 1"),
        ({"name": "a", "load_kg": 1, "wheels": {}}, "here: wheels: expected a list, found dict"),
        (
            {"name": "a", "load_kg": 1, "wheels": [{"spokes": 1, "colour": "pink"}]},
            r"here: wheels\[0\]: colour: unknown value 'pink'; known: red, blue",
        ),
        (
            {"name": "a", "load_kg": 1, "wheels": [{"spokes": 1}, {"spokes": 1.5}]},
            r"here: wheels\[1\]: spokes: expected int, found float 1.5",
        ),
        ({"name": "a", "load_kg": 1, "notes": {"k": 1}}, "here: notes.k: expected str, found int"),
        ({"name": "a", "load_kg": None}, "here: load_kg: expected float, found nothing"),
        ({"name": "a", "load_kg": 1, "tag": True}, "here: tag: expected float or str, found bool"),
        ([], "here: expected a table, found list"),
    ],
)
def test_a_mistake_is_named_with_its_place(data: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        schema.parse(Cart, data, where="here")


def test_a_number_where_a_number_or_a_text_may_stand_keeps_its_kind() -> None:
    number = schema.parse(Cart, {"name": "a", "load_kg": 1, "tag": 2}, where="")
    text = schema.parse(Cart, {"name": "a", "load_kg": 1, "tag": "2"}, where="")

    assert number.tag == 2.0
    assert text.tag == "2"


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"name = 'a'\nname = 'b'"])
def test_what_is_not_toml_is_a_config_error_that_names_the_file(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "cart.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"cart\.toml"):
        schema.load_toml(Cart, path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b'{"a": NaN'])
def test_what_is_not_json_is_a_config_error_that_names_the_file(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "cart.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"cart\.json"):
        schema.load_json(Cart, path)


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        schema.load_toml(Cart, tmp_path / "cart.toml")


_NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
_CARTS = st.builds(
    Cart,
    name=st.text(),
    load_kg=_NUMBERS,
    wheels=st.lists(st.builds(Wheel, spokes=st.integers(), colour=st.sampled_from(Colour))).map(
        tuple
    ),
    axes=st.none() | st.tuples(_NUMBERS, _NUMBERS),
    notes=st.dictionaries(st.text(), st.text()),
    sealed=st.booleans(),
    tag=_NUMBERS | st.text(),
)


@given(cart=_CARTS)
def test_what_is_dumped_to_json_is_read_back_the_same(cart: Cart) -> None:
    text = json.dumps(schema.dump(cart))

    assert schema.parse(Cart, json.loads(text), where="") == cart


_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("wheels"), inner),
)


@given(data=_ANYTHING)
def test_no_data_raises_anything_but_a_config_error(data: object) -> None:
    try:
        schema.parse(Cart, data, where="here")
    except ConfigError as error:
        assert str(error).startswith("here")  # noqa: PT017 - most data is refused, not all
