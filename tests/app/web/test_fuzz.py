"""No body, made from the schema or near it, and no file is answered by a 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.app.web.test_server import as_npy, clip

EXAMPLES = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
# Small enough that bodies which fit the schema come up; the shape may or may not be the model's.
NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.integers(-10, 10))
JOINTS = st.integers(0, 21).flatmap(
    lambda count: st.lists(
        st.lists(st.lists(st.lists(NUMBERS, max_size=4), min_size=count, max_size=count), max_size=3), max_size=3
    )
)
POSE = st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=20, max_size=20)  # as the model takes it
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)
KEYS = st.sampled_from(["joints", "model", "top", "path"])


@pytest.fixture(scope="module")
def post(worded: Path) -> Any:
    from fastapi.testclient import TestClient

    from poseglot.app.web.server import create_app
    from poseglot.app.web.service import ModelService
    from tests.app.web.conftest import UNLIMITED

    model = ModelService(worded, id="worded", limits=UNLIMITED)
    model.load_texts()
    with TestClient(create_app([model], limits=UNLIMITED), base_url="http://localhost") as app:
        yield app.post


Post = Callable[..., Any]


def check(answer: Any) -> None:
    assert answer.status_code in (200, 400, 404, 413, 422)
    body = json.loads(answer.content, parse_constant=lambda name: pytest.fail(name))
    assert ("scores" in body or "results" in body) if answer.status_code == 200 else body["error"]


def fitting(schema: Any) -> st.SearchStrategy[Any]:
    """What fits a schema, of the kinds that ours are made of; lists are short, so that large bodies do not take all the time."""
    if "anyOf" in schema:
        return st.one_of([fitting(one) for one in schema["anyOf"]])
    kind = schema["type"]
    if kind == "array":
        low, high = schema.get("minItems", 0), schema.get("maxItems", 3)
        return st.lists(fitting(schema["items"]), min_size=low, max_size=min(high, low + 2))
    if kind == "number":
        return st.floats(schema["minimum"], schema["maximum"])
    if kind == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    return {"string": st.text(max_size=schema.get("maxLength", 20)), "null": st.none()}[kind]


def test_bodies_that_fit_the_schema(post: Post) -> None:
    schema = post.__self__.get("/openapi.json").json()["components"]["schemas"]["PredictBody"]
    properties, required = schema["properties"], set(schema["required"])
    wanted = {name: fitting(value) for name, value in properties.items() if name in required}
    optional = {name: fitting(value) for name, value in properties.items() if name not in required}
    people = st.lists(st.lists(POSE, min_size=1, max_size=3), min_size=1, max_size=1)

    @EXAMPLES
    @given(st.fixed_dictionaries(wanted, optional=optional), st.none() | people)
    def run(body: Any, joints: Any) -> None:
        check(post("/predict", json={**body, "joints": joints or body["joints"]}))

    run()


@EXAMPLES
@given(body=st.dictionaries(KEYS, ANYTHING | JOINTS) | ANYTHING)
def test_bodies_near_the_schema(post: Post, body: Any) -> None:
    check(post("/predict", content=json.dumps(body), headers={"content-type": "application/json"}))


@EXAMPLES
@given(
    content=st.binary(max_size=200),
    kind=st.sampled_from(["application/json", "text/plain", "multipart/form-data; boundary=x", "", "\xff"]),
)
def test_bytes_of_any_kind(post: Post, content: bytes, kind: str) -> None:
    for path in ("/predict", "/clips"):
        check(post(path, content=content, headers={"content-type": kind.encode("latin-1")}))


@EXAMPLES
@given(
    name=st.text(max_size=20).map(lambda text: text)
    | st.sampled_from(["a.npy", "a.json", "a.csv", "a.csv.gz", "a.skeleton", "a.bvh"]),
    content=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
def test_files_of_any_kind(post: Post, name: str, content: bytes) -> None:
    check(post("/clips", files={"file": (name, content)}))


@EXAMPLES
@given(place=st.integers(0, 400), byte=st.integers(0, 255))
def test_arrays_with_a_byte_changed(post: Post, place: int, byte: int) -> None:
    content = bytearray(as_npy(clip(frames=2).astype("float32")))
    content[place % len(content)] = byte
    check(post("/clips", files={"file": ("a.npy", bytes(content))}))
