"""Build what exporters write in a roundabout way: pixel shuffles, copies, turned layouts."""

from collections.abc import Sequence

from harness.model import Model
from tests.models import ModelBuilder

Order = Sequence[int]


def build(model: ModelBuilder, image: int, result: int) -> Model:
    return Model(name="net", data=model.build([image], [result]))


def reshaped(model: ModelBuilder, x: int, shape: Sequence[int]) -> int:
    y = model.activation(shape)
    model.op("RESHAPE", [x, model.constant(shape)], [y])
    return y


def transposed(model: ModelBuilder, x: int, order: Order) -> int:
    y = model.activation([model.shape(x)[axis] for axis in order])
    model.op("TRANSPOSE", [x, model.constant(order)], [y])
    return y


def shuffled_in_six(
    *, dtype: str = "float32", order: Order = (0, 1, 4, 2, 5, 3), conv: bool = True
) -> Model:
    """Return a convolution and the pixel shuffle that onnx2tf writes of PyTorch's."""
    model = ModelBuilder(dtype)
    image = x = model.activation((1, 8, 6, 3 if conv else 12), name="image")
    x = model.conv(x, 12) if conv else x
    x = reshaped(model, x, (1, 8, 6, 3, 2, 2))
    x = transposed(model, x, order)
    return build(model, image, reshaped(model, x, (1, 16, 12, 3)))


def shuffled_channels_first(*, conv: bool = True) -> Model:
    """Return the pixel shuffle that litert-torch writes, with a RELU between its moves."""
    model = ModelBuilder()
    image = x = model.activation((1, 8, 8, 3 if conv else 12), name="image")
    x = model.conv(x, 12) if conv else x
    x = transposed(model, x, (0, 3, 1, 2))
    x = transposed(model, reshaped(model, x, (3, 2, 2, 64)), (0, 1, 3, 2))
    x = transposed(model, reshaped(model, x, (3, 2, 8, 16)), (0, 2, 1, 3))
    x = model.same("RELU", reshaped(model, x, (1, 3, 16, 16)))
    return build(model, image, transposed(model, x, (0, 2, 3, 1)))


def copied_in_five() -> Model:
    """Return the upsampling that Keras writes by copies."""
    model = ModelBuilder()
    image = model.activation((1, 4, 5, 3), name="image")
    x = reshaped(model, model.conv(image, 3), (1, 4, 1, 5, 3))
    wide = model.activation((1, 4, 2, 5, 3))
    model.op("TILE", [x, model.constant((1, 1, 2, 1, 1))], [wide])
    x = reshaped(model, reshaped(model, wide, (1, 8, 5, 3)), (1, 8, 5, 1, 3))
    twice = model.activation((1, 8, 5, 2, 3))
    model.op("CONCATENATION", [x, x], [twice], axis=3)
    return build(model, image, reshaped(model, twice, (1, 8, 10, 3)))


def turned_and_back() -> Model:
    """Return a pair of TRANSPOSE around a RELU between two convolutions."""
    model = ModelBuilder()
    image = model.activation((1, 8, 6, 3), name="image")
    x = model.same("RELU", transposed(model, model.conv(image, 4), (0, 3, 1, 2)))
    return build(model, image, model.conv(transposed(model, x, (0, 2, 3, 1)), 3))
