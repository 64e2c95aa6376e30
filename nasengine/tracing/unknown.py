"""Which operations of a traced network were not known."""

from collections import Counter

from nasengine.graph.computation_graph import ComputationGraph


def unknown_operators(graph: ComputationGraph) -> dict[str, int]:
    """Names of the operators behind nodes of kind ``other``, with the number of such nodes, most frequent first.

    Their multiply-accumulates are not counted, and no predictor knows what they do: whoever scores a graph with such
    nodes should warn and trust the score less.

    >>> from nasengine.graph import GraphBuilder
    >>> builder = GraphBuilder()
    >>> image = builder.input((3, 8, 8))
    >>> wave = builder.add("other", image, name="wave", shape=(3, 8, 8), operator="Sin")
    >>> unknown_operators(builder.build(wave))
    {'Sin': 1}
    """
    names = (str(operation.attribute("operator")) for operation in graph.operations if operation.kind == "other")
    return dict(Counter(names).most_common())
