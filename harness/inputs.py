"""What a model is given: real values by the name of an input, told apart by content."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness import images, text
from harness.errors import ModelError
from harness.evidence import sha256_of
from harness.graph import Graph

Values = NDArray[np.float32]
"""Real values of a tensor, in its shape."""
_ANY = ""
"""Name of a single value that is for a model's only input, whatever that is called."""


class Inputs(Mapping[str, Values]):
    """Real values by input name; two with the same content are equal.

    A model with one input takes a single value whatever its name is. Names of a model none of
    which is here are those of another exporter: values are then taken in their order.
    """

    def __init__(self, values: Mapping[str, NDArray[Any]]) -> None:
        """Hold values, in the order of the model's inputs.

        Raises:
            ModelError: there are none.
        """
        if not values:
            raise ModelError("no input was given; a model takes one at least")
        self._values = dict(values)

    @classmethod
    def of(cls, given: NDArray[Any] | Mapping[str, NDArray[Any]]) -> Self:
        """Return one array as the only input, or arrays by name; itself stays what it is."""
        if isinstance(given, cls):
            return given
        return cls(given if isinstance(given, Mapping) else {_ANY: given})

    @functools.cached_property
    def sha256(self) -> str:
        """Return a hash of names, shapes and values."""
        parts = (f"{name}\n{images.sha256_of_pixels(value)}" for name, value in self.items())
        return sha256_of("\n".join(parts).encode())

    def of_graph(self, graph: Graph) -> tuple[Values, ...]:
        """Return the values in the order of a graph's inputs.

        Raises:
            ModelError: their number, names or shapes are not those of the graph.
        """
        wanted, given = graph.input_names, tuple(self)
        if len(wanted) != len(given):
            raise ModelError(
                f"has {_listed(wanted)} as inputs and was given {_listed(given)}; describe each "
                "in an [[inputs]] table of subject.toml"
            )
        by_order = len(given) == 1 or set(wanted).isdisjoint(given)
        if not by_order and set(wanted) != set(given):
            raise ModelError(f"has the inputs {_listed(wanted)} and was given {_listed(given)}")
        values = tuple(self.values()) if by_order else tuple(self[name] for name in wanted)
        for i, name, value in zip(graph.inputs, wanted, values, strict=True):
            if graph.tensors[i].shape != value.shape:
                raise ModelError(
                    f"input {name!r:.80} takes {list(graph.tensors[i].shape)} and was given "
                    f"{list(value.shape)}; resize the model first"
                )
        return values

    def __getitem__(self, name: str) -> Values:
        """Return the values of one input."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names in order."""
        return iter(self._values)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        """Return whether another has the same content."""
        return isinstance(other, Inputs) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        """Return a hash of the content."""
        return hash(self.sha256)

    def __repr__(self) -> str:
        """Return names and shapes."""
        shown = ", ".join(
            f"{text.brief(name)} {'x'.join(map(str, value.shape))}".strip()
            for name, value in self.items()
        )
        return text.repr_of(self, shown)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(repr(text.brief(name)) for name in names[:8])
    return f"{len(names)} ({shown}{', ...' if len(names) > 8 else ''})"
