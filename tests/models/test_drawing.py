"""`plot_model` and `model_to_dot`: every layer is there once, and every line between them."""

import inspect
import itertools
import re
import sys

import keras
import pytest

import keraunos
from keraunos import layers
from keraunos.models import layered
from keraunos.models.diagram import Asked, diagram


def chain():
    row = [layers.Dense(3, activation="relu", name="first"), layers.Dense(2, name="second")]
    return keraunos.Sequential([keraunos.Input((4,), name="given"), *row], name="chain")


def skips():
    x = keraunos.Input((4,), name="x")
    y = layers.Dense(4, name="b")(layers.Dense(4, name="a")(x))
    return keraunos.Model(x, layers.Add(name="sum")([x, y]), name="skips")


def several():
    a, b = keraunos.Input((4,), name="one"), keraunos.Input((5,), name="two")
    both = layers.Concatenate(name="both")([a, b])
    outputs = [layers.Dense(1, name="o1")(both), layers.Dense(1, name="o2")(both) + 1]
    return keraunos.Model([a, b], outputs, name="several")


def shared():
    a, b = keraunos.Input((4,), name="one"), keraunos.Input((4,), name="two")
    dense = layers.Dense(4, name="twin")
    return keraunos.Model([a, b], layers.Add(name="sum")([dense(a), dense(b)]), name="shared")


def again():
    x, dense = keraunos.Input((4,), name="x"), layers.Dense(4, name="twice")
    return keraunos.Model(x, dense(dense(x)), name="again")


def nested():
    h = keraunos.Input((2,), name="h")
    deep = layers.Dense(5, name="deep")(h)
    branches = keraunos.Model(h, [layers.Dense(1, name="deeper")(deep), deep], name="branches")
    x = keraunos.Input((4,), name="x")
    parts = branches(keraunos.Sequential([layers.Dense(2, name="only")], name="small")(x))
    return keraunos.Model(x, layers.Concatenate(name="cat")(parts), name="nested")


# Model, names of its boxes when inner models stay closed, and when they are opened, and edges.
MODELS = [
    (chain, "first second", "first second", "first-second", "first-second"),
    (skips, "x a b sum", "x a b sum", "x-a a-b x-sum b-sum", "x-a a-b x-sum b-sum"),
    (
        several,
        "one two both o1 o2 add",
        "one two both o1 o2 add",
        "one-both two-both both-o1 both-o2 o2-add",
        "one-both two-both both-o1 both-o2 o2-add",
    ),
    (
        shared,
        "one two twin sum",
        "one two twin sum",
        "one-twin two-twin twin-sum",
        "one-twin two-twin twin-sum",
    ),
    (again, "x twice", "x twice", "x-twice twice-twice", "x-twice twice-twice"),
    (
        nested,
        "x small branches cat",
        "x only h deep deeper cat",
        "x-small small-branches branches-cat",
        "x-only only-h h-deep deep-deeper deeper-cat deep-cat",
    ),
]
EACH = pytest.mark.parametrize("case", MODELS, ids=[case[0].__name__ for case in MODELS])


def texts(svg):
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]*)", svg)]


@pytest.mark.parametrize("name", ["plot_model", "model_to_dot"])
def test_signatures_are_those_of_keras(name):
    ours, theirs = (
        [(p.name, p.default, p.kind) for p in inspect.signature(f).parameters.values()]
        for f in (getattr(keraunos.utils, name), getattr(keras.utils, name))
    )
    assert ours == theirs


@EACH
@pytest.mark.parametrize("expand", [False, True])
def test_dot_has_every_layer_and_every_edge(case, expand):
    keraunos.utils.clear_session()
    make, closed, opened, edges, inner_edges = case
    text = keraunos.utils.model_to_dot(make(), expand_nested=expand).to_string()
    names = dict(re.findall(r"^ *(\w+) \[label=<.*?<b>(\w+)</b> \(", text, re.MULTILINE))
    assert sorted(names.values()) == sorted((opened if expand else closed).split())
    found = [f"{names[a]}-{names[b]}" for a, b in re.findall(r"(\w+) -> (\w+);", text)]
    assert sorted(found) == sorted((inner_edges if expand else edges).split())
    assert text.count("{") == text.count("}")


@EACH
@pytest.mark.parametrize(("expand", "rankdir"), [(False, "TB"), (True, "LR")])
def test_svg_has_every_name(case, expand, rankdir, tmp_path):
    keraunos.utils.clear_session()
    make, closed, opened = case[:3]
    path = tmp_path / "model.svg"
    shown = {"expand_nested": expand, "rankdir": rankdir, "show_layer_names": True}
    keraunos.utils.plot_model(make(), path, **shown)
    svg = path.read_text()
    expected = (opened if expand else closed).split()
    assert svg.startswith("<?xml") and set(expected) <= set(texts(svg))


def overlap(a, b):
    return all(a[0][i] < b[0][i] + b[1][i] and b[0][i] < a[0][i] + a[1][i] for i in (0, 1))


@EACH
@pytest.mark.parametrize("rankdir", ["TB", "RL"])
def test_boxes_keep_apart_and_lines_avoid_them(case, rankdir):
    drawn = diagram(case[0](), Asked(nested=True))
    picture = layered.layout(drawn, lambda label: (20.0, 50.0), rankdir)
    boxes = [(place, size) for _, place, size in picture.boxes]
    for i, box in enumerate(boxes):
        assert all(at >= 0 and at + s <= whole for at, s, whole in zip(*box, picture.size))
        assert not any(overlap(box, other) for other in boxes[:i])
    within = [((p[0] + 1, p[1] + 1), (s[0] - 2, s[1] - 2)) for p, s in boxes]
    for points, _ in picture.lines:
        for a, b in itertools.pairwise(points):
            low, high = (min(a[0], b[0]), min(a[1], b[1])), (max(a[0], b[0]), max(a[1], b[1]))
            line = low, (high[0] - low[0] + 1e-6, high[1] - low[1] + 1e-6)
            assert not any(overlap(line, box) for box in within)


def test_a_chain_is_straight_beside_its_skips():
    picture = layered.layout(diagram(skips(), Asked()), lambda label: (20.0, 50.0), "TB")
    middles = {place[1] + size[1] / 2 for _, place, size in picture.boxes}
    assert max(middles) - min(middles) < 0.5


def test_what_labels_tell(tmp_path):
    model = chain()
    model.layers[1].trainable = False
    everything = {"show_shapes": True, "show_dtype": True, "show_layer_names": True}
    everything |= {"show_layer_activations": True, "show_trainable": True}
    keraunos.utils.plot_model(model, tmp_path / "all.svg", **everything)
    found = texts((tmp_path / "all.svg").read_text())
    heading = ["Input shape", "(None, 4)", "Output shape", "(None, 3)", "Output dtype", "float32"]
    first = ["first", "Dense", "Activation", "relu", *heading, "Trainable"]
    assert found[: len(first)] == first
    assert found[-1] == "Non-trainable"
    keraunos.utils.plot_model(model, tmp_path / "few.svg")
    assert texts((tmp_path / "few.svg").read_text()) == ["Dense", "Dense"]


def test_shapes_of_several_tensors_and_of_several_calls():
    label = lambda model, i: dict(diagram(model, Asked(shapes=True)).parts[i].rows[0])
    assert label(several(), 2)["Input shape"] == "[(None, 4), (None, 5)]"
    a, b, flat = keraunos.Input((2, 2)), keraunos.Input((3, 1)), layers.Flatten()
    model = keraunos.Model([a, b], [flat(a), flat(b)])
    assert label(model, 2)["Output shape"] == "(None, 4) or (None, 3)"


@pytest.mark.parametrize(
    ("ending", "start"),
    [
        (".png", b"\x89PNG"),
        (".svg", b"<?xml"),
        (".pdf", b"%PDF"),
        (".dot", b"digraph"),
        ("", b"\x89PNG"),
    ],
)
def test_formats(ending, start, tmp_path):
    path = str(tmp_path / f"model{ending}")
    keraunos.utils.plot_model(chain(), path, dpi=30)
    with open(path, "rb") as file:
        assert file.read().startswith(start)


def size(path):
    header = path.read_bytes()[16:24]
    return int.from_bytes(header[:4], "big"), int.from_bytes(header[4:], "big")


def test_dpi_and_rankdir_make_the_size(tmp_path):
    sizes = {}
    for dpi, rankdir in ((30, "TB"), (60, "TB"), (30, "LR")):
        keraunos.utils.plot_model(skips(), tmp_path / "m.png", dpi=dpi, rankdir=rankdir)
        sizes[dpi, rankdir] = size(tmp_path / "m.png")
    (width, height), double = sizes[30, "TB"], sizes[60, "TB"]
    assert abs(double[0] - 2 * width) <= 2 and abs(double[1] - 2 * height) <= 2
    assert height > width and sizes[30, "LR"][0] > sizes[30, "LR"][1]


@pytest.mark.parametrize("splines", ["curved", "polyline", "spline", "line"])
def test_splines(splines, tmp_path):
    keraunos.utils.plot_model(skips(), tmp_path / "m.svg", splines=splines)
    assert texts((tmp_path / "m.svg").read_text()).count("Dense") == 2


def test_layer_range_limits_what_is_drawn():
    text = str(keraunos.utils.model_to_dot(skips(), layer_range=["a", "b"]))
    assert text.count("label=<") == 2 and text.count("->") == 1


def test_dot_is_escaped_and_written(tmp_path):
    model = keraunos.Sequential([keraunos.Input((2,)), layers.Dense(1, name="a<b>&$c$")])
    dot = keraunos.utils.model_to_dot(model, subgraph=True, rankdir="LR")
    assert "a&lt;b&gt;&amp;$c$" in str(dot) and str(dot).startswith("subgraph cluster_")
    dot.write(tmp_path / "m.dot")
    assert (tmp_path / "m.dot").read_text() == str(dot) == dot.to_string()
    keraunos.utils.plot_model(model, tmp_path / "m.svg", show_layer_names=True)
    assert "a&lt;b&gt;&amp;$c$" in (tmp_path / "m.svg").read_text()


class Own(keraunos.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


def called():
    model = Own()
    model(keraunos.ops.ones((1, 3)))
    return model


@pytest.mark.parametrize(
    ("make", "options", "kind", "message"),
    [
        (Own, {}, ValueError, r"`own` \(Own\) .* not yet been built. Build the model first"),
        (called, {}, ValueError, r"`own` \(Own\) .* subclass .* `keras.Model\(inputs, outputs\)`"),
        (lambda: layers.Dense(2), {}, TypeError, "Only a model can be drawn, got <Dense"),
        (lambda: keraunos.Sequential([layers.Dense(2)]), {}, ValueError, "not yet been built"),
        (chain, {"rankdir": "UP"}, ValueError, "`rankdir` must be one of TB, LR, BT, RL; got 'UP'"),
        (chain, {"splines": "x"}, ValueError, "`splines` must be one of ortho, .* got 'x'"),
        (chain, {"foo": 1}, ValueError, r"Unrecognized keyword arguments: \{'foo': 1\}"),
        (chain, {"layer_range": ["a"]}, ValueError, "layer_range must be a list or tuple"),
        (chain, {"to_file": "m.bmp"}, ValueError, r"must end in one of .png, .svg, .pdf, .dot"),
    ],
)
def test_errors(make, options, kind, message, tmp_path):
    options = {"to_file": tmp_path / "m.png", **options}
    with pytest.raises(kind, match=message):
        keraunos.utils.plot_model(make(), **options)
    assert not list(tmp_path.iterdir())


def test_without_matplotlib_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install keraunos\[viz\]"):
        keraunos.utils.plot_model(chain(), tmp_path / "m.png")
    assert "digraph" in str(keraunos.utils.model_to_dot(chain()))


def test_lines_beside_each_other_are_straight():
    x = inputs = keraunos.Input((4,))
    kept = []
    for _ in range(3):
        kept.append(x := layers.Dense(4)(x))
    for _ in range(3):
        x = layers.Add()([layers.Dense(4)(x), kept.pop()])
    drawn = diagram(keraunos.Model(inputs, x), Asked())
    picture = layered.layout(drawn, lambda label: (20.0, 50.0), "TB")
    assert {len(points) for points, _ in picture.lines} == {2, 6}
