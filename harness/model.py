"""A .tflite as bytes and as a graph: what is placed, timed and run."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from harness import cache, resizing, roles, text
from harness.errors import ModelError
from harness.evidence import sha256_of
from harness.graph import Graph, parse, read
from harness.images import Size
from harness.inputs import matched
from harness.roles import Axes, InputSpec, Role
from harness.text import counted


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Model:
    """A .tflite at one input size: its bytes, and the graph read from them once.

    Two models are equal where their bytes are, and what is said of their inputs.

    Attributes:
        name: What a person calls it, such as its path.
        data: The bytes of the .tflite.
        source_sha256: Content hash of the file that it was resized from, or '' where it is
            that file.
        inputs: What its inputs are, where a person described them; else their shapes tell.
    """

    name: str
    data: bytes
    source_sha256: str = ""
    inputs: tuple[InputSpec, ...] = ()
    _packed_here: bool = False
    _sizes: dict[Size, Self] = field(default_factory=dict, init=False)

    @functools.cached_property
    def graph(self) -> Graph:
        """Return the ops and tensors.

        Raises:
            ModelError: the bytes cannot be read as a model.
        """
        return parse(self.data, name=self.name, packed_here=self._packed_here)

    @functools.cached_property
    def sha256(self) -> str:
        """Return the content hash of these bytes, as they are run."""
        return sha256_of(self.data)

    @property
    def file_sha256(self) -> str:
        """Return the content hash of the file as it was exported."""
        return self.source_sha256 or self.sha256

    @property
    def size(self) -> Size:
        """Return the resolution of its image input.

        Raises:
            ModelError: it has no image input.
        """
        index, axes = self._image
        shape = self.graph.tensors[index].shape
        return Size(width_px=shape[axes.width], height_px=shape[axes.height])

    @functools.cached_property
    def _specs(self) -> dict[int, InputSpec]:
        """Return what a person said of each input, by index of its tensor.

        Raises:
            ModelError: what is described are not the inputs of the file.
        """
        if not self.inputs:
            return {}
        names = [spec.name for spec in self.inputs]
        try:
            order = matched(names, self.graph.input_names)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from None
        return {
            self.graph.inputs[position]: spec
            for position, spec in zip(order, self.inputs, strict=True)
        }

    @functools.cached_property
    def _axes(self) -> dict[int, Axes]:
        """Return the spatial axes of the inputs that have some, by index of the tensor.

        Raises:
            ModelError: what is described as an image has no shape of one.
        """
        found = {}
        for i in self.graph.inputs:
            shape = self.graph.tensors[i].shape
            layout = roles.layout_of(shape)
            if self._specs:
                axes = self._specs[i].axes
            else:
                axes = None if layout is None else roles.axes_of(layout)
            if axes is not None and layout is None:
                raise ModelError(
                    f"{self.name}: input {text.brief(self.graph.tensors[i].name)!r} has the shape "
                    f"{list(shape)}, which is no image, state or map; write role = 'tensor'"
                )
            if axes is not None:
                found[i] = axes
        return found

    @functools.cached_property
    def _image(self) -> tuple[int, Axes]:
        """Return the input whose size is the model's: the first image, with its axes.

        Raises:
            ModelError: it has none.
        """
        for i, axes in self._axes.items():
            if not self._specs or self._specs[i].role is Role.IMAGE:
                return i, axes
        shapes = ", ".join(str(list(self.graph.tensors[i].shape)) for i in self.graph.inputs[:4])
        raise ModelError(
            f"{self.name}: takes {shapes or 'nothing'}; an image is [1, height, width, channels] "
            "or [1, channels, height, width]"
        )

    @property
    def is_dynamic(self) -> bool:
        """Return whether the file leaves the size of its image open: it says 0, or one pixel."""
        if not self._axes:
            return False
        index, axes = self._image
        shape = self.graph.tensors[index].shape
        return min(shape[axes.height], shape[axes.width]) < 2

    def asked(self, size: Size | str | None) -> Self:
        """Return the model at a size that a person asks for, or at its own where that is None.

        Raises:
            ModelError: it leaves its size open, or does not take the one asked for.
            ConfigError: the text is not a resolution.
        """
        if size is not None:
            return self.at(size)
        if self.is_dynamic:
            raise ModelError(
                f"{self.name}: input {text.brief(self.graph.input_names[0])!r} leaves its size "
                f"open, {list(self.graph.tensors[self.graph.inputs[0]].shape)}; say one with "
                "--size, such as --size 1280x720, or export it with a fixed size"
            )
        return self

    def at(self, size: Size | str) -> Self:
        """Return the model for an input of another size; itself if it has that size.

        Args:
            size: A resolution, or its text such as `1280x720`.

        Raises:
            ModelError: it has no image input, or an op does not allow that size.
            ConfigError: the text is not a resolution.
        """
        wanted = Size.parse(size) if isinstance(size, str) else size
        if wanted not in self._sizes:
            self._sizes[wanted] = self._resized(wanted)
        return self._sizes[wanted]

    def _resized(self, size: Size) -> Self:
        if self.size == size:
            return self

        try:
            wanted = {i: self._shape_at(size, i, axes) for i, axes in self._axes.items()}
            key = cache.key_of(resizing.__name__, self.sha256, wanted)
            data = cache.remember(
                "resized",
                key,
                lambda: resizing.reshape(self.data, self.graph, wanted),
                kind=bytes,
            )
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from None
        return type(self)(
            name=self.name,
            data=data,
            source_sha256=self.file_sha256,
            inputs=self.inputs,
            _packed_here=True,
        )

    def _shape_at(self, size: Size, index: int, axes: Axes) -> tuple[int, ...]:
        """Return the shape of an input at another size: it keeps its ratio to the image's.

        Raises:
            ModelError: that makes no whole number of pixels.
        """
        shape = list(self.graph.tensors[index].shape)
        own = self.size
        for axis, before, after in (
            (axes.height, own.height_px, size.height_px),
            (axes.width, own.width_px, size.width_px),
        ):
            if before < 2 and shape[axis] < 2:  # left open in the file
                shape[axis] = after
                continue
            if before == 0 or shape[axis] * after % before:
                name = text.brief(self.graph.tensors[index].name)
                raise ModelError(
                    f"input {name!r} has {shape[axis]} beside an image of {own}, which makes no "
                    f"whole number at {size}; use multiples of the model's total stride"
                )
            shape[axis] = shape[axis] * after // before
        return tuple(shape)

    def __eq__(self, other: object) -> bool:
        """Return whether another model has the same bytes and descriptions."""
        return isinstance(other, Model) and self.data == other.data and self.inputs == other.inputs

    def __hash__(self) -> int:
        """Return a hash of the bytes."""
        return hash(self.sha256)

    def __repr__(self) -> str:
        """Return its name, its input and its work."""
        name = text.brief(self.name)
        try:
            graph = self.graph
        except ModelError as error:
            return text.repr_of(self, f"{name}: {error}")
        shapes = ", ".join(
            "x".join(str(n) for n in graph.tensors[i].shape) or "scalar" for i in graph.inputs
        )
        work = f"{counted(len(graph.ops), 'op')}, {graph.macs / 1e9:.3g} GMAC"
        return text.repr_of(self, f"{name}: {shapes}, {work}")

    def __getstate__(self) -> dict[str, Any]:
        """Return what a child process needs; it reads the graph again."""
        return {
            "name": self.name,
            "data": self.data,
            "source_sha256": self.source_sha256,
            "inputs": self.inputs,
            "_packed_here": self._packed_here,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take what `__getstate__` gave."""
        self.__dict__.update(state, _sizes={})


def load(path: Path) -> Model:
    """Read a .tflite file.

    Raises:
        ModelError: the file is missing, too large or cannot be read as a model.
    """
    model = Model(name=str(path), data=read(path))
    _ = model.graph  # a file that is no model is said here, and not by who uses it first
    return model
