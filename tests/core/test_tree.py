"""`keras.tree` against Keras."""

import collections

import keras
import pytest

import keraunos

Point = collections.namedtuple("Point", "x y")
Ordered = collections.OrderedDict

STRUCTURES = [
    None, 3, "text", [], (), {}, [1, [2, (3, None)]], {"b": 1, "a": [2, None, (3,)]},
    Ordered([("b", 1), ("a", [2])]), Point(1, [2]), [Point({"k": 1}, ()), 2], {2: "x", 1: "y"},
    collections.defaultdict(list, {"q": [1], "p": 2}), collections.deque([1, [2]]),
]  # fmt: skip
SHAPES = [[1, 2], (2, None), (), None, {"a": (None, 2), "b": [(3,), [4, 5]]}, [(1,), ()]]
PAIRS = [
    ([1, 2], [3, 4]), ([1, 2], (3, 4)), ([1, 2], [3, [4]]), ([1, 2], [3]), ({"a": 1}, {"b": 1}),
    ({"a": 1}, Ordered(a=1)), ({"a": 1, "b": 2}, {"b": 3, "a": 4}), (1, [1]), (None, 1),
    (None, []), (Point(1, 2), Point(3, 4)), (Point(1, 2), (3, 4)), ([1, {}], [2, {}]),
]  # fmt: skip


def same(call):
    """Assert that both libraries return the same, or raise errors of the same type."""
    answers = []
    for library in (keraunos, keras):
        try:
            answers.append(call(library.tree))
        except Exception as error:
            answers.append(type(error))
    assert answers[0] == answers[1]
    assert type(answers[0]) is type(answers[1])
    if isinstance(answers[0], dict):
        assert list(answers[0]) == list(answers[1])


@pytest.mark.parametrize("structure", STRUCTURES, ids=repr)
def test_one_structure(structure):
    same(lambda tree: tree.flatten(structure))
    same(lambda tree: tree.flatten_with_path(structure))
    same(lambda tree: tree.is_nested(structure))
    same(lambda tree: tree.lists_to_tuples(structure))
    same(lambda tree: tree.map_structure(lambda leaf: (leaf,), structure))
    same(lambda tree: tree.map_structure(lambda leaf: [leaf], structure, none_is_leaf=False))
    leaves = list(range(10, 10 + len(keraunos.tree.flatten(structure))))
    same(lambda tree: tree.pack_sequence_as(structure, leaves))
    same(lambda tree: tree.pack_sequence_as(structure, [*leaves, 1]))


@pytest.mark.parametrize("pair", PAIRS, ids=repr)
def test_two_structures(pair):
    same(lambda tree: tree.map_structure(lambda a, b: (a, b), *pair))
    same(lambda tree: tree.assert_same_structure(*pair))
    same(lambda tree: tree.assert_same_paths(*pair))
    if pair[0] is not None:  # which is a leaf to us there, too
        same(lambda tree: tree.map_structure_up_to(pair[0], lambda a, b: (a, b), *pair))


def test_up_to():
    same(lambda tree: tree.map_structure_up_to([1, 2], lambda x: x, [[3], (4, 5)]))
    same(lambda tree: tree.map_structure_up_to([1, [2]], lambda x: x, [3, 4]))


@pytest.mark.parametrize("structure", SHAPES, ids=repr)
def test_shapes(structure):
    same(lambda tree: tree.map_shape_structure(lambda shape: ("S", shape), structure))


@pytest.mark.parametrize("top_down", [True, False])
def test_traverse(top_down):
    functions = [
        lambda tree: lambda x: tuple(x) if isinstance(x, list) else None,
        lambda tree: lambda x: tree.MAP_TO_NONE if x == 2 else None,
        lambda tree: lambda x: x * 10 if isinstance(x, int) else None,
    ]
    for function in functions:
        same(lambda tree: tree.traverse(function(tree), [1, [2, (3, {"a": [2]})]], top_down))


def test_messages():
    tree = keraunos.tree
    with pytest.raises(ValueError, match=r"Expected an instance of list, got \(3, 4\)"):
        tree.map_structure(max, [1, 2], (3, 4))
    with pytest.raises(ValueError, match=r"Expected a dict with the keys \['a'\], got \['b'\]"):
        tree.map_structure(max, {"a": 1}, {"b": 1})
    with pytest.raises(ValueError, match="needs 2 leaves for this structure, got 1"):
        tree.pack_sequence_as([1, 2], [3])
    with pytest.raises(ValueError, match=r"\(1,\)\] are in `a` only"):
        tree.assert_same_paths([1, 2], [1])
    with pytest.raises(ValueError, match="at least one structure"):
        tree.map_structure(max)
    with pytest.raises(TypeError, match="needs a callable for `func`, got 3"):
        tree.traverse(3, [1])
