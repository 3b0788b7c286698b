"""Open and write the flatbuffer that a .tflite is, within a budget of what is read.

Tables and vectors of a flatbuffer may be shared: a file of 160 KB can describe gigabytes. So
everything that readers will follow is counted first, and a file that describes more than its own
bytes can honestly hold is refused.
"""

import functools
import inspect
import struct
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from harness.errors import ModelError

DAMAGE = (
    struct.error, LookupError, ValueError, TypeError, ArithmeticError, AttributeError,
    MemoryError, RecursionError,
)  # fmt: skip
"""What the flatbuffers reader, and code that trusts what it read, raise on a damaged file."""

_TABLES_MAX = 40_000
"""Tables of one model; the largest restoration networks have some 10,000."""
_STRUCTURE_BYTES_MAX = 2**24
"""Vectors and names of one model beside the data of its buffers."""
_SHARING_MAX = 4
"""How often all of a file may be read; exporters share a name or an empty table at most."""
_SLACK_BYTES = 2**16

_UNIONS = {
    "BuiltinOptions": schema.BuiltinOptions,
    "BuiltinOptions2": schema.BuiltinOptions2,
    "Details": schema.QuantizationDetails,
    "ArraySegments": schema.SparseIndexVector,
    "ArrayIndices": schema.SparseIndexVector,
}
"""Enumeration that says which table a field holds."""


def check(data: bytes) -> None:
    """Raise a ModelError unless the bytes hold a model that may be read.

    Raises:
        ModelError: not a .tflite, truncated, damaged, or one that describes too much.
    """
    if len(data) < 16 or data[4:8] != b"TFL3":
        raise ModelError(
            f"not a .tflite file (no TFL3 identifier in {len(data)} bytes); "
            "export the model again or fetch the whole file"
        )
    try:
        _count(data)
    except DAMAGE as error:
        raise damaged(error) from None


def damaged(error: BaseException) -> ModelError:
    """Return what to raise where reading a model ended in one of DAMAGE."""
    return ModelError(
        f"damaged .tflite file ({type(error).__name__}: {error!s:.200}); "
        "export the model again or fetch the whole file"
    )


def unpack(data: bytes) -> Any:
    """Return a model as the schema's object tree, a `ModelT`, to be changed and packed again.

    Raises:
        ModelError: the bytes hold no model that may be read.
    """
    check(data)
    try:
        tree = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    except DAMAGE as error:
        raise damaged(error) from None
    for buffer in tree.buffers or ():
        if buffer.offset > 1:  # behind the flatbuffer in the file: what is packed has it inside
            end = buffer.offset + buffer.size
            buffer.data = np.frombuffer(data[buffer.offset : end], np.uint8)
            buffer.offset = buffer.size = 0
    return tree


def pack(tree: Any) -> bytes:
    """Write an object tree of the TFLite schema as the bytes of a .tflite file."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def data_of(buffer: Any, file: memoryview) -> memoryview | None:
    """Return the data of a `Buffer` as a view of the file, or None if it has none."""
    length = buffer.DataLength()
    if length == 0:
        return None
    table = buffer._tab  # the generated reader offers copies and NumPy arrays only
    start = table.Vector(table.Offset(4))
    return file[start : start + length]


@functools.lru_cache(maxsize=4)
def _count(data: bytes) -> None:
    """Follow everything once, and raise when it is more than the file can honestly hold."""
    budget = _Reading(len(data))
    pending = [schema.Model.GetRootAs(data, 0)]
    while pending:
        table = pending.pop()
        budget.take_table()
        for name, kind in _fields(table.__class__):
            if kind == "scalars":
                if getattr(table, f"{name}Length")():
                    values = getattr(table, f"{name}AsNumpy")()
                    budget.take(values.nbytes, is_data=isinstance(table, schema.Buffer))
            elif kind == "items":
                length = getattr(table, f"{name}Length")()
                budget.take(4 * length)
                read = getattr(table, name)
                for item in map(read, range(length)):
                    if isinstance(item, bytes):
                        budget.take(len(item))
                    elif item is not None:
                        pending.append(item)
            elif kind == "string":
                budget.take(len(getattr(table, name)() or b""))
            elif (found := _table_in(table, name, kind)) is not None:
                pending.append(found)


class _Reading:
    """What may still be read of one file."""

    def __init__(self, file_bytes: int) -> None:
        self._file_bytes = file_bytes
        self._tables = _TABLES_MAX
        self._structure = min(_STRUCTURE_BYTES_MAX, _SHARING_MAX * file_bytes + _SLACK_BYTES)
        self._all = _SHARING_MAX * file_bytes + _SLACK_BYTES

    def take_table(self) -> None:
        self._tables -= 1
        if self._tables < 0:
            raise self._refusal(f"more than {_TABLES_MAX} tables")

    def take(self, size_bytes: int, *, is_data: bool = False) -> None:
        self._all -= size_bytes
        self._structure -= 0 if is_data else size_bytes
        if size_bytes > self._file_bytes or self._all < 0 or self._structure < 0:
            raise self._refusal("more than it holds: tables that share or overlap their vectors")

    def _refusal(self, what: str) -> ModelError:
        return ModelError(
            f"a file of {self._file_bytes} bytes describes {what}; "
            "the harness does not read it, export the model again"
        )


@functools.cache
def _fields(table: type) -> tuple[tuple[str, str], ...]:
    """Return the fields of a generated table class that lead to more data, with their kind."""
    found = []
    members = vars(table)
    for name, member in members.items():
        if f"{name}Length" in members:
            found.append((name, "scalars" if f"{name}AsNumpy" in members else "items"))
        elif inspect.isfunction(member):
            calls = member.__code__.co_names
            kinds = {"String": "string", "Union": "union", "Indirect": "table"}
            found += [(name, kind) for call, kind in kinds.items() if call in calls]
    return tuple(found)


def _table_in(table: Any, name: str, kind: str) -> Any:
    """Return the table that a field holds, or None if it holds none or one of unknown type."""
    found = getattr(table, name)()
    if kind == "table" or found is None:
        return found
    number = getattr(table, f"{name}Type")()
    cls = getattr(schema, _union_members(name).get(number, ""), None)
    if cls is None:
        return None
    typed = cls()
    typed.Init(found.Bytes, found.Pos)
    return typed


@functools.cache
def _union_members(field: str) -> dict[int, str]:
    return {value: name for name, value in vars(_UNIONS[field]).items() if isinstance(value, int)}
