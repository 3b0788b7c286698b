"""Read the files that a subject is made of, and refuse those that are no exports of one model."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from harness import graph, resizing, subjects
from harness.errors import ConfigError, ModelError
from harness.evidence import sha256_of
from harness.images import Size
from harness.limits import Limits
from harness.subjects import Precision, Variant


def read(paths: Sequence[Path]) -> tuple[Variant, ...]:
    """Return the files as variants, named by precision, or by file where two have the same."""
    found = [(path, graph.read(path), precision_of(path)) for path in paths]
    count = Counter(precision for _, _, precision in found)
    exports: dict[str, Variant] = {}
    for path, data, precision in found:
        name = precision.value
        if count[precision] > 1:
            name = re.sub(r"[^A-Za-z0-9_]+", "_", path.stem)
        if name in exports:
            raise ConfigError(f"{path}: a second file named {name}; give each a name of its own")
        exports[name] = Variant(
            name=name,
            precision=precision,
            path=path,
            sha256=sha256_of(data),
            limits=Limits(source="not measured yet"),
        )
    return tuple(exports.values())


def precision_of(path: Path) -> Precision:
    """Tell the arithmetic of a model file; training for 8 bits shows in its name only.

    Raises:
        ModelError: it cannot be read as a model.
    """
    found = subjects.precision_of(graph.load(path))
    if found is Precision.INT8_PTQ and "qat" in path.name.lower():
        return Precision.INT8_QAT
    return found


def shape(export: Variant, asked: str | None) -> tuple[Size, int]:
    """Return the input's size, and the output's edge over the input's.

    Raises:
        ModelError: the model does not make an RGB image of an RGB image.
    """
    parsed = export.model().asked(asked).graph
    try:
        given = resizing.image_shape(parsed)
    except ModelError as error:
        raise ModelError(f"{export.path}: {error}") from None
    made = parsed.tensors[parsed.outputs[0]].shape
    wanted = "frames are RGB, [1, height, width, 3]"
    if given[3] != 3 or given[0] != 1:
        raise ModelError(f"{export.path}: takes {given[3]} channels, {list(given)}; {wanted}")
    scale = made[1] // given[1] if len(made) == 4 else 0
    if scale < 1 or made != (1, scale * given[1], scale * given[2], 3):
        raise ModelError(
            f"{export.path}: gives {list(made)} for {list(given)}; the harness judges images: "
            "RGB of the input's size or a whole multiple, [1, height, width, 3]"
        )
    return Size(width_px=given[2], height_px=given[1]), scale


def refuse_other_inputs(export: Variant, first: Variant, size: Size) -> None:
    """Refuse a file that is no export of the FP32 model, by its inputs and outputs."""
    try:
        graph = export.model().at(size).graph
    except ModelError as error:
        raise ModelError(f"{export.path}: is to be an export of {first.path}: {error}") from None
    if len(graph.outputs) != len(first.model().graph.outputs):
        raise ModelError(f"{export.path}: has {len(graph.outputs)} outputs, unlike {first.path}")


def refuse_other_shape(
    export: Variant, first: Variant, size: Size, scale: int, asked: str | None
) -> None:
    """Refuse a file that is no export of the FP32 model, by its shapes."""
    own_size, own_scale = shape(export, asked)
    if own_scale != scale:
        raise ModelError(
            f"{export.path}: enlarges {own_scale} times and {first.path} {scale} times; give "
            "exports of one model"
        )
    if own_size != size:
        try:
            export.model().at(size)
        except ModelError as error:
            raise ModelError(
                f"{export.path}: takes {own_size}, {first.path} {size}, and {error}"
            ) from None
