"""Write the first subject.toml of a subject, for a person to go on with."""

import json
from collections.abc import Iterator, Sequence

from harness import schema
from harness.images import Size
from harness.limits import Limits
from harness.roles import Role, TensorSpec
from harness.subjects import Subject, Variant

_SOURCE = "your own model; say here where it and its training data come from"
_LIMITS = (
    "psnr_db",
    "relative_l2",
    "worst_tile_psnr_db",
    "first_relative_l2",
    "quality_drop_db",
    "drift_db",
    "seam_db",
)


def write(subject: Subject, *, sizes: Sequence[Size], budget_ms: float | None) -> str:
    """Return the text of a subject.toml.

    Args:
        subject: Its variants with their limits.
        sizes: The sizes that it takes, the last one being its own.
        budget_ms: Latency budget at its own size, if a person gave one.
    """
    low, high = subject.output_range
    parts = [
        f"name = {json.dumps(subject.name)}\n"
        f"task = {json.dumps(subject.task)}\n"
        f"scale = {subject.scale}\n"
        + ("" if subject.outputs else f"output_range = [{low!r}, {high!r}]\n")
        + f"source = {json.dumps(subject.source or _SOURCE)}\n",
        *(_spec("inputs", spec) for spec in subject.inputs),
        *(_spec("outputs", spec) for spec in subject.outputs),
        *(text for variant in subject.variants for text in _variant(variant)),
        '[[ships]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
        'because = "harness init: everything ships everywhere until you say otherwise"\n',
        '[[budgets]]\ndevices = ["*"]\ndelegates = ["*"]\nvariants = ["*"]\n'
        f'resolution = "{sizes[-1]}"\n'
        f"{f'latency_ms = {budget_ms:g}' if budget_ms else '# latency_ms = 50.0'}\n"
        "cpu_ops_allowed = 0\npartitions_max = 1\n"
        'source = "harness init: yours to set"\n',
    ]
    if len(sizes) > 1:
        names = ", ".join(f'"{size}"' for size in sizes)
        parts.append(
            f"[scaling]\nresolutions = [{names}]\nexponent = 1.3\ncliff_ratio = 1.5\n"
            'source = "harness init: yours to set"\n'
        )
    return "\n".join(parts)


def _spec(table: str, spec: TensorSpec) -> str:
    """Return the table of an input or output; what is as usual is left out."""
    fields = schema.dump(spec)
    usual = {"layout": "nhwc", "range": [0.0, 1.0], "mean": [], "std": [], "of": ""}
    if spec.role is not Role.IMAGE:
        usual |= {"channels": "rgb"}
    lines = [f"[[{table}]]", f"name = {json.dumps(fields.pop('name'))}"]
    lines += [
        f"{key} = {json.dumps(value)}" for key, value in fields.items() if usual.get(key) != value
    ]
    return "\n".join([*lines, ""])


def _variant(variant: Variant) -> Iterator[str]:
    yield (
        f"[[variants]]\nname = {json.dumps(variant.name)}\n"
        f'precision = "{variant.precision.value}"\n'
        f'path = {json.dumps(variant.path.name)}\nsha256 = "{variant.sha256}"\n'
    )
    yield f"[variants.limits]\n{_limits(variant.limits)}"
    yield from _outputs("variants.limits.outputs", variant.limits)
    for other in variant.limits_on:
        yield f"[[variants.limits_on]]\ndelegates = {json.dumps(list(other.delegates))}\n"
        yield f"[variants.limits_on.limits]\n{_limits(other.limits)}"
        yield from _outputs("variants.limits_on.limits.outputs", other.limits)


def _outputs(table: str, limits: Limits) -> Iterator[str]:
    for one in limits.outputs:
        lines = (f"{key} = {json.dumps(value)}" for key, value in schema.dump(one).items())
        yield "\n".join([f"[[{table}]]", *lines, ""])


def _limits(limits: Limits) -> str:
    lines = [f"{key} = {value!r}" for key in _LIMITS if (value := getattr(limits, key)) is not None]
    return "\n".join([*lines, f"source = {json.dumps(limits.source)}", ""])
