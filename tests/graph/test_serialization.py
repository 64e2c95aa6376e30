"""JSON of graphs, both ways, and what is refused."""

import json
import random

import pytest

from nasengine.errors import GraphError
from nasengine.graph import fingerprint, from_json, to_json
from search_spaces.darts import DARTS
from search_spaces.nasbench201 import NASBENCH201


@pytest.mark.parametrize("space", [DARTS, NASBENCH201], ids=lambda space: space.name)
def test_round_trip(space):
    graph = space.to_graph(space.sample(random.Random(0)), space.defaults)
    again = from_json(to_json(graph))
    assert again == graph
    assert again.names == graph.names
    assert fingerprint(again) == fingerprint(graph)


def test_forged_shapes_are_refused():
    graph = NASBENCH201.to_graph(NASBENCH201.sample(random.Random(0)), NASBENCH201.defaults)
    content = json.loads(to_json(graph))
    content["nodes"][-1]["input_shapes"] = [[64]]
    content["nodes"][1]["output_shape"] = [16, 64, 64]
    with pytest.raises(GraphError, match=r"expected output shape \(16, 32, 32\), got \(16, 64, 64\)"):
        from_json(json.dumps(content))


def damaged(**changes: object) -> str:
    graph = NASBENCH201.to_graph(NASBENCH201.sample(random.Random(0)), NASBENCH201.defaults)
    return json.dumps({**json.loads(to_json(graph)), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "expected an object with version"),
        ("[]", "expected an object with version"),
        ("[" * 100_000, "expected an object with version"),
        (damaged(version=2), "expected version 1, got 2"),
        (damaged(nodes="x"), "expected a list of at most"),
        (damaged(nodes=[{"name": "a"}]), "a node is malformed"),
        (damaged(nodes=[{"name": "a", "inputs": [], "kind": "exec", "output_shape": [1]}]), "kind 'exec' is unknown"),
        (damaged(nodes=[{"name": "a", "inputs": [3], "kind": "relu", "output_shape": [1]}]), "expected inputs among"),
        (damaged(outputs=[10**6]), "expected outputs among"),
        (damaged(outputs=3), "a node is malformed"),
    ],
)
def test_damaged_text_is_refused(text, message):
    with pytest.raises(GraphError, match=message):
        from_json(text)
