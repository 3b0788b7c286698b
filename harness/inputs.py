"""What a model is given: real values by the name of an input, told apart by content."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from harness import images, text
from harness.errors import BlessedDataError, ModelError
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

    @property
    def single(self) -> Values:
        """Return the only value.

        Raises:
            ModelError: there are several.
        """
        if len(self) != 1:
            raise ModelError(f"has {_listed(tuple(self))} as inputs; name one")
        return next(iter(self.values()))

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
        by_position = dict(zip(matched(tuple(self), graph.input_names), self.values(), strict=True))
        values = tuple(by_position[position] for position in range(len(graph.inputs)))
        for i, name, value in zip(graph.inputs, graph.input_names, values, strict=True):
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


def matched(
    names: Sequence[str], of_model: Sequence[str], *, what: str = "inputs"
) -> tuple[int, ...]:
    """Return the position in a model of each name.

    A single one is the model's only one whatever it is called. Names none of which is the
    model's are those of another exporter: they are taken in their order.

    Args:
        names: As a person or another file calls them.
        of_model: The model's, in its order.
        what: `inputs` or `outputs`, for the error.

    Raises:
        ModelError: another number, or some names are the model's and some are not.
    """
    table = f"describe each in an [[{what}]] table of subject.toml, by these names"
    if len(names) != len(of_model):
        raise ModelError(
            f"has {_listed(of_model)} as {what}, and {_listed(names)} {_are(names)} given; {table}"
        )
    if len(names) == 1 or set(of_model).isdisjoint(names):
        return tuple(range(len(names)))
    if set(of_model) != set(names):
        raise ModelError(f"has {_listed(of_model)} as {what}, not {_listed(names)}; {table}")
    return tuple(of_model.index(name) for name in names)


def _are(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(text.brief(name)) for name in names[:8])
    return f"{len(names)} ({shown}{', ...' if len(names) > 8 else ''})"


def check_comparable(values: Values, reference: Values) -> None:
    """Refuse to compare what was made with a reference of another shape, or one that is broken.

    Raises:
        ModelError: the shapes differ.
        BlessedDataError: the reference holds NaN or infinite values.
    """
    if values.shape != reference.shape:
        raise ModelError(
            f"the output has shape {values.shape}, its reference {reference.shape}; bless the "
            "subject again if the model's output size changed on purpose"
        )
    if not np.isfinite(reference).all():
        raise BlessedDataError("the reference holds non-finite values; bless the subject again")
