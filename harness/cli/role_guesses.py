"""Guess what a model's inputs and outputs are from its file, and say why."""

import argparse
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import roles, text
from harness.errors import ConfigError
from harness.graph import Graph, Tensor
from harness.images import UNIT_RANGE
from harness.roles import Channels, InputSpec, Layout, OutputSpec, Role

_FED_BACK = re.compile(r"state|hidden|prev|recur|memory|cache", re.IGNORECASE)
_RANGES = (UNIT_RANGE, (-1.0, 1.0), (0.0, 255.0))
_NEAR_SHARE = 0.02
"""How far a stored range may be from the known one that it means, as a share of its width."""
_KINDS = {1: Channels.LUMA, 3: Channels.RGB, 4: Channels.RAW}
SYNTAX = (
    "NAME=ROLE[,KEY=VALUE...], such as noise=scalar,value=0.1 or frame=image,channels=bgr or "
    "burst=image,range=-1:1; roles: image, state (of=OUTPUT), scalar, map, constant (file=FILE), "
    "tensor"
)
"""How a person says what a tensor is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options by which a person says what inputs and outputs are."""
    for option, what in (("--input", "an input"), ("--output", "an output")):
        parser.add_argument(
            option,
            action="append",
            default=[],
            metavar="NAME=ROLE",
            help=f"what {what} is, default guessed from the file: {SYNTAX}",
        )


@dataclass(frozen=True, kw_only=True)
class Described:
    """What a model's inputs and outputs are.

    Attributes:
        inputs: In the order of the file.
        outputs: In the order of the file.
        notes: What was guessed, and why.
        unknown: Questions about inputs that nothing in the file answers, by name.
    """

    inputs: tuple[InputSpec, ...]
    outputs: tuple[OutputSpec, ...]
    notes: tuple[str, ...]
    unknown: Mapping[str, str]

    @property
    def is_plain(self) -> bool:
        """Return whether this is one RGB image in [0, 1] in and one out, which needs no word."""
        return (
            len(self.inputs) == len(self.outputs) == 1
            and replace(self.inputs[0], name="") == InputSpec(name="")
            and replace(self.outputs[0], name="", range=UNIT_RANGE) == OutputSpec(name="")
        )


def parse_input(given: str) -> InputSpec:
    """Read `NAME=ROLE[,KEY=VALUE...]`.

    Raises:
        ConfigError: it is not of that form.
    """
    name, keys = _split(given, "--input")
    known: dict[str, object] = {"role": keys.pop("role")}
    if "value" in keys:
        known["value"] = _number(keys.pop("value"), given)
    if "file" in keys:
        known["file"] = Path(keys.pop("file"))
    if "of" in keys:
        known["of"] = keys.pop("of")
    return _spec(InputSpec, name, known, keys, given)


def parse_output(given: str) -> OutputSpec:
    """Read `NAME=ROLE[,KEY=VALUE...]`.

    Raises:
        ConfigError: it is not of that form.
    """
    name, keys = _split(given, "--output")
    return _spec(OutputSpec, name, {"role": keys.pop("role")}, keys, given)


def describe(
    graph: Graph,
    stored: Sequence[Graph],
    inputs: Sequence[InputSpec],
    outputs: Sequence[OutputSpec],
) -> Described:
    """Return what a model's inputs and outputs are: what is stated, and a guess of the others.

    Args:
        graph: The FP32 model.
        stored: Its other exports, whose stored ranges may tell.
        inputs: What a person stated.
        outputs: What a person stated.

    Raises:
        ConfigError: what is stated is about tensors that the model does not have.
    """
    _refuse_strangers(inputs, graph.input_names, "--input")
    _refuse_strangers(outputs, graph.output_names, "--output")
    guesses = _Guesses(graph, stored)
    found: list[InputSpec] = []
    for position, name in enumerate(graph.input_names):
        stated = [spec for spec in inputs if spec.name == name]
        found.append(stated[0] if stated else guesses.input(position, name))
    fed = {spec.of for spec in found if spec.role is Role.STATE}
    made = []
    for position, name in enumerate(graph.output_names):
        known = [spec for spec in outputs if spec.name == name]
        made.append(known[0] if known else guesses.output(position, name, fed))
    return Described(
        inputs=tuple(found),
        outputs=tuple(made),
        notes=tuple(guesses.notes),
        unknown=guesses.unknown,
    )


class _Guesses:
    """Guesses about one model, with their reasons."""

    def __init__(self, graph: Graph, stored: Sequence[Graph]) -> None:
        self._graph = graph
        self._stored = stored
        self._inputs = [graph.tensors[i] for i in graph.inputs]
        self._outputs = [graph.tensors[i] for i in graph.outputs]
        self.notes: list[str] = []
        self.unknown: dict[str, str] = {}
        self._sizeless = len(self._inputs) == 1 and self._inputs[0].shape[1:3] == (1, 1)
        self._states = self._paired_states()

    def input(self, position: int, name: str) -> InputSpec:
        """Return what an input seems to be."""
        tensor, layout = self._inputs[position], roles.layout_of(self._inputs[position].shape)
        shown = f"input {text.brief(name)!r} {tensor.dtype} {list(tensor.shape)}"
        if position in self._states:
            fed = self._graph.output_names[self._states[position]]
            self.notes.append(f"{shown}: state, as output {text.brief(fed)!r} has its shape")
            known = layout or Layout.NHWC
            return InputSpec(name=name, role=Role.STATE, layout=known, of=fed)
        if layout is None or not self._channels(tensor):
            what = "a scalar" if tensor.elements == 1 else "a tensor"
            self.unknown[name] = f"{shown} is {what}, and nothing says what stands in it"
            return InputSpec(name=name, role=Role.TENSOR)
        channels = tensor.shape[3 if layout is Layout.NHWC else 1]
        beside = any(
            self._is_picture(other) for k, other in enumerate(self._inputs) if k != position
        )
        if channels not in _KINDS or (channels == 1 and beside):
            self.unknown[name] = f"{shown} may be an image of planes, a map or a tensor"
            return InputSpec(name=name, role=Role.MAP, layout=layout)
        value_range, why = self._range(position)
        kind = _KINDS[channels]
        spec = InputSpec(name=name, layout=layout, channels=kind, range=value_range)
        if replace(spec, name="") != InputSpec(name="") or len(self._inputs) > 1:
            reason = f"{channels} channel{'s'[: channels != 1]}"
            order = "first" if layout is Layout.NCHW else "last"
            self.notes.append(
                f"{shown}: image of kind {kind.value}, channels {order}, as it has {reason}; "
                f"range [{value_range[0]:g}, {value_range[1]:g}], {why}"
            )
        return spec

    def output(self, position: int, name: str, fed: Iterable[str]) -> OutputSpec:
        """Return what an output seems to be."""
        tensor, layout = self._outputs[position], roles.layout_of(self._outputs[position].shape)
        shown = f"output {text.brief(name)!r} {tensor.dtype} {list(tensor.shape)}"
        known = layout or Layout.NHWC
        if name in fed:
            return OutputSpec(name=name, role=Role.STATE, layout=known)
        if self._is_picture(tensor) or (
            self._is_grey(tensor) and not any(map(self._is_picture, self._outputs))
        ):
            channels = tensor.shape[3 if layout is Layout.NHWC else 1]
            spec = OutputSpec(name=name, layout=known, channels=_KINDS[channels])
            if len(self._outputs) > 1 or replace(spec, name="") != OutputSpec(name=""):
                self.notes.append(f"{shown}: image of kind {spec.channels.value}")
            return spec
        self.notes.append(f"{shown}: tensor, judged by its values and classes, as no image is so")
        return OutputSpec(name=name, role=Role.TENSOR, layout=known)

    def _is_picture(self, tensor: Tensor) -> bool:
        """Return whether a tensor has the shape of an image of three or four channels."""
        return self._channels(tensor) in (3, 4)

    def _is_grey(self, tensor: Tensor) -> bool:
        return self._channels(tensor) == 1

    def _channels(self, tensor: Tensor) -> int:
        layout = roles.layout_of(tensor.shape)
        if layout is None:
            return 0
        axes = roles.axes_of(layout)
        if min(tensor.shape[axes.height], tensor.shape[axes.width]) < 2 and not self._sizeless:
            return 0
        return tensor.shape[3 if layout is Layout.NHWC else 1]

    def _paired_states(self) -> dict[int, int]:
        """Return which output is fed back into which input, by position.

        It has the input's shape, and the input is no image by its channels or is called so.
        """
        pairs: dict[int, int] = {}
        for i, tensor in enumerate(self._inputs):
            called = bool(_FED_BACK.search(self._graph.input_names[i]))
            if len(self._inputs) == 1 or (self._channels(tensor) in _KINDS and not called):
                continue
            same = [
                o for o, made in enumerate(self._outputs)
                if made.shape == tensor.shape and o not in pairs.values()
            ]  # fmt: skip
            if same and len(self._outputs) > 1:
                pairs[i] = same[-1]
        return pairs

    def _range(self, position: int) -> tuple[tuple[float, float], str]:
        """Return an input's values for black and white, and why."""
        for graph in (self._graph, *self._stored):
            tensor = graph.tensors[graph.inputs[position]]
            known, stored = known_range(tensor), _stored_range(tensor)
            if known is not None and stored is not None:
                return known, f"as {tensor.dtype} stores {stored[0]:.3g} to {stored[1]:.3g}"
        return UNIT_RANGE, "as nothing in the files says otherwise"


def known_range(tensor: Tensor) -> tuple[float, float] | None:
    """Return the range of images that a quantized tensor is made for, or None for another one."""
    stored = _stored_range(tensor)
    for known in _RANGES if stored is not None else ():
        near = _NEAR_SHARE * (known[1] - known[0])
        if all(abs(a - b) <= near for a, b in zip(stored or (), known, strict=True)):
            return known
    return None


def _stored_range(tensor: Tensor) -> tuple[float, float] | None:
    """Return the least and the largest value that a quantized tensor can hold."""
    limits = {"int8": (-128, 127), "uint8": (0, 255)}.get(tensor.dtype)
    known = tensor.quantization
    if limits is None or known is None or len(known.scales) != 1 or len(known.zero_points) != 1:
        return None
    low, high = ((stored - known.zero_points[0]) * known.scales[0] for stored in limits)
    return low, high


def _refuse_strangers(
    specs: Sequence[InputSpec | OutputSpec], known: Sequence[str], option: str
) -> None:
    for spec in specs:
        if spec.name not in known:
            shown = ", ".join(text.brief(name) for name in known)
            raise ConfigError(f"{option} {spec.name}: the model has no such one; it has {shown}")


def _split(given: str, option: str) -> tuple[str, dict[str, str]]:
    name, equals, rest = given.partition("=")
    first, *others = rest.split(",")
    pairs = [part.partition("=") for part in others]
    if not name or not equals or not first or any(not value for *_, value in pairs):
        raise ConfigError(f"{option} {given}: write {SYNTAX}")
    return name, {"role": first} | {key: value for key, _, value in pairs}


def _spec(
    kind: type[roles.SpecT], name: str, known: dict[str, object], keys: dict[str, str], given: str
) -> roles.SpecT:
    """Return a specification from the keys that inputs and outputs share."""
    try:
        fields: dict[str, Any] = known | {"name": name, "role": Role(str(known["role"]))}
        if "layout" in keys:
            fields["layout"] = Layout(keys.pop("layout"))
        if "channels" in keys:
            fields["channels"] = Channels(keys.pop("channels"))
        if "range" in keys:
            low, high = keys.pop("range").split(":")
            fields["range"] = (float(low), float(high))
        for key in ("mean", "std"):
            if key in keys:
                fields[key] = tuple(float(n) for n in keys.pop(key).split(":"))
        if keys:
            raise ValueError(f"unknown {', '.join(keys)}")
        return kind(**fields)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{given}: {error}; write {SYNTAX}") from None


def _number(value: str, given: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"--input {given}: {value!r} is no number") from None
