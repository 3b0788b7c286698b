"""Infer the shape of every tensor from the shapes of a graph's inputs."""

from harness.errors import ModelError
from harness.nodes import Graph
from harness.reshaper import NoRule, Reshaper, shown
from harness.shape_rules import shapes_of


def check(graph: Graph) -> tuple[int, ...]:
    """Compare every shape that a file declares with the one that its op gives.

    Returns:
        The ops whose output shapes cannot be told, by index: the file is believed there.

    Raises:
        ModelError: an op gives another shape, or none at all.
    """
    reshaper = Reshaper(graph, {})
    believed = []
    for op in graph.ops:
        try:
            given = shapes_of(reshaper, op)
        except NoRule:
            believed.append(op.index)
            continue
        declared = [graph.tensors[i].shape for i in op.outputs]
        if given != declared:
            raise ModelError(
                f"op #{op.index} {op.name} gives {shown(given)} where the file declares "
                f"{shown(declared)}; export the model again, with an input of a fixed size"
            )
    return tuple(believed)


def follow(reshaper: Reshaper) -> None:
    """Compute the shapes of all ops that follow from the changed ones.

    Raises:
        ModelError: an op does not allow its new shapes, or has no rule.
    """
    for op in reshaper.graph.ops:
        if any(reshaper.shapes[i] != reshaper.graph.tensors[i].shape for i in op.inputs if i >= 0):
            for index, shape in zip(op.outputs, shapes_of(reshaper, op), strict=True):
                reshaper.shapes[index] = shape
            reshaper._follow_axes(op)
