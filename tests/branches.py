"""Build random branching models around an op that an accelerator refuses, for tests."""

import random

from tests import models

SIZE_PX = 16
DEPTH = 3


def random_model(seed: int, refused: str) -> bytes:
    """Return 5 to 16 ops with skips, forks, dead ends and one or two outputs.

    Args:
        seed: Chooses the graph.
        refused: FLOOR_MOD, or an op that maps one tensor to one of the same shape.
    """
    choose = random.Random(seed)
    builder = models.ModelBuilder()
    image = builder.activation((1, SIZE_PX, SIZE_PX, DEPTH), name="image")
    made = [image]
    for _ in range(choose.randint(4, 12)):
        made.append(_op(builder, choose, made, refused))
    outputs = [made[-1]]
    if choose.random() < 0.5:
        outputs.append(choose.choice(made[1:]))
    return builder.build([image], list(dict.fromkeys(outputs)))


def _op(builder: models.ModelBuilder, choose: random.Random, made: list[int], refused: str) -> int:
    x, other = choose.choice(made[-4:]), choose.choice(made)
    kind = choose.choice(["CONV_2D", "CONV_2D", "TANH", "ADD", refused])
    if kind == "CONV_2D":
        return builder.conv(x, DEPTH)
    if kind == "ADD" and other != x:
        return builder.same("ADD", x, other)
    if kind == "FLOOR_MOD":
        y = builder.activation(builder.shape(x))
        builder.op("FLOOR_MOD", [builder.same("ABS", x), builder.tensor((1,), data=3.0)], [y])
        return y
    return builder.same("RELU" if kind == "ADD" else kind, x)
