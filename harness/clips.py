"""Play a clip through a model that hands a state from one frame to the next."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from harness import goldens, roles
from harness.inputs import Inputs, Values
from harness.roles import InputSpec, OutputSpec, Role

Run = Callable[[Inputs], Mapping[str, Values]]
"""Runs a model on the real values of its inputs; returns its outputs by the model's names."""


def play(
    run: Run,
    first: Inputs,
    later: Sequence[Inputs],
    inputs: Sequence[InputSpec],
    outputs: Sequence[OutputSpec],
) -> Iterator[tuple[Values, ...]]:
    """Yield the judged outputs of each frame, its states fed back into the next one.

    Args:
        run: Runs the model.
        first: Every input of the first frame.
        later: The inputs of each further frame, without its states.
        inputs: What the inputs are.
        outputs: What the outputs are.

    Raises:
        ModelError: the outputs are not those that are described.
        HarnessError: what `run` raises.
    """
    given = first
    for following in (*later, None):
        values = run(given)
        yield goldens.judged(outputs, values)
        if following is None:
            return
        made = dict(
            zip((spec.name for spec in outputs), roles.decoded(values, outputs), strict=True)
        )
        given = Inputs({
            spec.name: made[spec.of] if spec.role is Role.STATE else following[spec.name]
            for spec in inputs
        })  # fmt: skip
