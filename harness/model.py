"""A .tflite as bytes and as a graph: what is placed, timed and run."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from harness import cache, resizing, text
from harness.errors import ModelError
from harness.evidence import sha256_of
from harness.graph import Graph, parse, read
from harness.images import Size
from harness.text import counted


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Model:
    """A .tflite at one input size: its bytes, and the graph read from them once.

    Two models are equal where their bytes are.

    Attributes:
        name: What a person calls it, such as its path.
        data: The bytes of the .tflite.
        source_sha256: Content hash of the file that it was resized from, or '' where it is
            that file.
    """

    name: str
    data: bytes
    source_sha256: str = ""
    _sizes: dict[Size, Self] = field(default_factory=dict, init=False)

    @functools.cached_property
    def graph(self) -> Graph:
        """Return the ops and tensors.

        Raises:
            ModelError: the bytes cannot be read as a model.
        """
        return parse(self.data, name=self.name)

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
        _, height_px, width_px, _ = resizing.image_shape(self.graph)
        return Size(width_px=width_px, height_px=height_px)

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

        def resize() -> bytes:
            return resizing.resize(
                self.data, self.graph, width_px=size.width_px, height_px=size.height_px
            )

        try:
            key = cache.key_of(resizing.__name__, self.sha256, size)
            data = cache.remember("resized", key, resize, kind=bytes)
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from None
        return type(self)(name=self.name, data=data, source_sha256=self.file_sha256)

    def __eq__(self, other: object) -> bool:
        """Return whether another model has the same bytes."""
        return isinstance(other, Model) and self.data == other.data

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
        return {"name": self.name, "data": self.data, "source_sha256": self.source_sha256}

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
