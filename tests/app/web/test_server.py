"""The server answers as the Predictor does, and refuses what is too large, too much, malformed or not allowed, each with its status."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

from poseglot.app.web import server
from poseglot.app.web.limits import Limits
from poseglot.app.web.service import ModelService
from poseglot.data.readers import endings
from poseglot.data.readers.poses import Poses, write_poses
from poseglot.data.store import open_store
from poseglot.inference import Predictor
from poseglot.inference.segmentation import SegmentConfig, segment_recording
from poseglot.models.recognizer import load_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.training.run import open_run
from poseglot.transforms import apply_pipeline
from tests.app.web.conftest import Client, write_run

JSON = {"content-type": "application/json"}


def clip(people: int = 1, frames: int = 20, joints: int = 20, channels: int = 3) -> Any:
    return np.random.default_rng(0).normal(size=(people, frames, joints, channels)).round(3)


def as_npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def huge_npz() -> bytes:
    """Says that it holds a terabyte."""
    honest = as_npz(**dict.fromkeys(("confidence", "fps", "size", "layout"), 1.0), pixels=np.zeros((1, 1, 20, 2)))
    header = b"'shape': (1, 1, 20, 2), "
    assert header in honest
    wrong = bytearray(honest)
    place = honest.index(header)
    wrong[place : place + len(header)] = b"'shape': (9999999999,), "[: len(header)].ljust(len(header))
    return bytes(wrong)


def as_npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_predict_says_what_the_predictor_says(client: Client, worded: Path) -> None:
    joints = clip()
    said = client().post("/predict", json={"joints": joints.tolist(), "top": 12}).json()
    expected = Predictor(worded, device="cpu").predict([joints], top=12)[0].scores
    assert said["model"] == "worded"
    assert [answer["action"] for answer in said["scores"]] == [score.action for score in expected]
    for answer, wanted in zip(said["scores"], expected, strict=True):
        assert answer["probability"] == pytest.approx(wanted.probability, abs=1e-5)


@pytest.mark.parametrize("ending", [".npy", ".csv", ".csv.gz", ".json"])
def test_a_file_of_any_format_is_the_same_clip(client: Client, ending: str) -> None:
    joints = clip(frames=12).astype(np.float32)
    rows = ["frame,joint,x,y,z"] + [
        f"{frame},{joint},{','.join(str(float(value)) for value in joints[0, frame, joint])}"
        for frame in range(12)
        for joint in range(20)
    ]
    content = {
        ".npy": as_npy(joints),
        ".csv": "\n".join(rows).encode(),
        ".csv.gz": gzip.compress("\n".join(rows).encode()),
        ".json": json.dumps({"file_name": "x", "skeletons": joints[0].astype(float).tolist(), "label": 1}).encode(),
    }[ending]
    app = client()
    said = app.post("/clips", files={"file": (f"my clip{ending}", content)}).json()
    plain = app.post("/predict", json={"joints": joints.astype(float).tolist()}).json()
    assert said["results"][0]["scores"] == plain["scores"]
    assert said["name"] == "my clip"
    assert len(said["clip"]["people"][0]) == said["clip"]["frames"] == 12


def test_over_time_is_what_the_stretches_alone_say(client: Client, worded: Path, store_path: Path) -> None:
    seen = client().get("/api/examples/0").json()
    over, answers = seen["results"][0]["over_time"], seen["results"][0]["scores"]
    store = open_store(store_path)
    place = next(place for place in range(len(store)) if store.clips["name"][place] == seen["name"])
    joints = store[place].joints
    middle, width = over["frames"][-1], over["width"]
    start = round(middle - (width - 1) / 2)
    assert start + width == joints.shape[1]
    alone = Predictor(worded, device="cpu").predict([joints[:, start:]], top=12)[0].scores
    wanted = {score.action: score.probability for score in alone}
    for answer in answers:
        assert over["probabilities"][answer["action"]][-1] == pytest.approx(wanted[answer["action"]], abs=1e-3)


def test_a_long_recording_has_a_timeline_and_a_clip_has_none(client: Client, worded: Path) -> None:
    app, recording = client(), clip(frames=300)
    recording[:, 130:160] = 0  # nobody is there for a second
    seen = app.post("/clips", files={"file": ("a.npy", as_npy(recording))}).json()["results"][0]
    config = SegmentConfig(method="frames", windows=(1.0, 2.0))
    wanted = segment_recording(Predictor(worded, device="cpu"), recording.astype(np.float32), fps=30, config=config)
    assert [(row["start"], row["end"], row["action"], row["person"]) for row in seen["timeline"]["segments"]] == [
        (round(30 * one.start), round(30 * one.end), one.action, one.person) for one in wanted
    ]
    assert {row["person"] for row in seen["timeline"]["segments"]} == {1, 2}, "after a second it is somebody else"
    assert "train-segmenter" in seen["timeline"]["note"] and seen["over_time"] is None and seen["error"] == ""
    assert app.post("/clips", files={"file": ("a.npy", as_npy(clip(frames=60)))}).json()["results"][0]["timeline"] is None
    blank = np.zeros((1, 300, 20, 3))
    blank[:, 5:10] = clip(frames=5)
    seen = app.post("/clips", files={"file": ("a.npy", as_npy(blank))}).json()["results"][0]
    assert seen["timeline"]["segments"] == [] and "nobody is seen" in seen["timeline"]["note"] and seen["scores"]


def test_classes_that_lead_somewhere_are_drawn_over_time(worded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = ModelService(worded, id="worded", limits=Limits())
    classes = service.spec.classes

    def leaders_in_turn(clips: list[Any], **_: Any) -> Any:
        return np.eye(len(classes))[np.arange(len(clips)) % len(classes)]

    monkeypatch.setattr(service.predictor, "predict_proba", leaders_in_turn)
    result = service.result(Clip(clip(frames=60).astype(np.float32), "x"), service.layout)
    assert list(result["over_time"]["probabilities"])[:5] == [score["action"] for score in result["scores"]]
    assert set(result["over_time"]["probabilities"]) == set(classes)


def test_everything_that_is_predicted_can_be_uploaded(client: Client, worded: Path, tmp_path: Path) -> None:
    app = client(worded)
    assert set(app.get("/api/endings").json()) == set(endings())
    joints = clip(frames=12)
    savemat(tmp_path / "a.mat", {"joints": joints[0].transpose(1, 2, 0)})
    np.savetxt(tmp_path / "a.txt", joints[0].reshape(12, -1))
    for path in (tmp_path / "a.mat", tmp_path / "a.txt"):
        result = app.post("/clips", files={"file": (path.name, path.read_bytes())}).json()["results"][0]
        (expected,) = Predictor(worded, device="cpu").predict(path)
        assert result["scores"][0]["action"] == expected.action
        assert result["scores"][0]["probability"] == pytest.approx(expected.scores[0].probability, abs=1e-5)


@pytest.mark.parametrize("ending", [".mat", ".npz"])
def test_a_packed_file_that_unpacks_to_too_much_is_refused_unread(ending: str, client: Client, tmp_path: Path) -> None:
    path, zeros = tmp_path / f"a{ending}", np.zeros((1, 50_000, 20, 5))
    if ending == ".mat":
        savemat(path, {"joints": zeros}, do_compression=True)
    else:
        np.savez_compressed(path, joints=zeros)
    assert path.stat().st_size < 2**20
    assert client().post("/clips", files={"file": (path.name, path.read_bytes())}).status_code == 413


def test_a_chosen_layout_names_the_joints_of_an_upload(client: Client, worded: Path, others: Path) -> None:
    app = client(worded, others)
    layouts = app.get("/api/layouts").json()
    assert {"kinect20", "ntu25"} <= set(layouts)
    file = {"file": ("a.npy", as_npy(clip(joints=25)))}
    result = app.post("/clips", files=file, data={"layout": "ntu25"}).json()
    assert "ntu25" in result["results"][0]["mapped"] and result["results"][1]["mapped"] == ""
    assert app.post("/clips", files=file, data={"layout": "kinect20"}).status_code == 422
    assert app.post("/clips", files=file, data={"layout": "../x"}).status_code == 404


def test_how_an_upload_is_read_is_chosen(client: Client) -> None:
    """Millimetres with a confidence behind them, read as metres; what is not valid is refused."""
    app, joints = client(), clip()
    scored = np.concatenate([joints * 1000, np.ones_like(joints[..., :1])], axis=-1)
    file = {"file": ("a.npy", as_npy(scored))}
    expected = app.post("/clips", files={"file": ("a.npy", as_npy(joints))}).json()
    chosen = app.post("/clips", files=file, data={"scale": "0.001", "columns": "1-3"}).json()
    assert chosen["clip"] == expected["clip"]
    for one, other in zip(chosen["results"][0]["scores"], expected["results"][0]["scores"], strict=True):
        assert one["action"] == other["action"] and one["probability"] == pytest.approx(other["probability"], abs=1e-4)
    assert app.post("/clips", files=file).status_code == 422  # four numbers
    for wrong in (
        {"scale": "0"},
        {"scale": "nan"},
        {"scale": "x"},
        {"columns": "3-1"},
        {"columns": "a"},
        {"skip": "-1"},
        {"dim_order": "q"},
    ):
        assert app.post("/clips", files=file, data=wrong).status_code == 422, wrong
    assert app.post("/clips", files=file, data={"columns": "all", "dim_order": "auto"}).status_code == 422


def test_closeness_is_the_cosine_of_part_and_sentence(client: Client, worded: Path, store_path: Path) -> None:
    looked = client().get("/api/examples/0").json()
    words = looked["results"][0]["text"]
    assert words["state"] == "ready"
    store = open_store(store_path)
    place = next(place for place in range(len(store)) if store.clips["name"][place] == looked["name"])
    recognizer = load_recognizer(worded / "recognizer.safetensors")
    view = torch.from_numpy(apply_pipeline(store[place].joints, pipeline="nw-ucla", modality="joint"))[None]
    run = open_run(worded, device="cpu")
    assert not run.text_encoder_lost
    best = looked["results"][0]["scores"][0]["action"]
    label = recognizer.spec.classes.index(best)
    with torch.no_grad():
        features = recognizer(view)["alignment"]
    for level, close in zip(words["levels"], words["classes"][best], strict=True):
        cosines = torch.cosine_similarity(run.text_features[level["name"]], features[level["name"]], dim=1)
        assert close["cosine"] == pytest.approx(cosines[label].item(), abs=1e-4)
        assert close["rank"] == 1 + int((cosines > cosines[label]).sum())
        cosines[label] = -2
        assert close["other"] == recognizer.spec.classes[int(cosines.argmax())]
        assert level["name"] == "global" or not close["sentence"].startswith(best)
        assert level["joints"] == list((recognizer.spec.levels or {})[level["name"]])


def test_without_text_the_page_is_told_why(client: Client, pairs: Path, worded: Path, tmp_path: Path) -> None:
    words = client(pairs).get("/api/examples/0").json()["results"][0]["text"]
    assert words["state"] == "none" and "without text" in words["note"]
    alone = tmp_path / "alone"
    alone.mkdir()
    (alone / "recognizer.safetensors").write_bytes((worded / "recognizer.safetensors").read_bytes())
    words = client(alone).get("/api/examples/0").json()["results"][0]["text"]
    assert words["state"] == "missing" and "recipe.yaml" in words["note"]


def test_two_models_answer_side_by_side_and_one_may_refuse(client: Client, worded: Path, pairs: Path) -> None:
    app = client(worded, pairs)
    both = app.get("/api/examples/0").json()["results"]
    assert [seen["model"] for seen in both] == ["worded", "pairs"]
    assert both[0]["scores"] != both[1]["scores"]
    two = app.post("/clips", files={"file": ("two.npy", as_npy(clip(people=2)))}).json()
    assert len(two["clip"]["people"]) == 2
    assert "at most 1 person " in two["results"][0]["error"]
    assert two["results"][1]["scores"]


@pytest.mark.parametrize(("joints", "own", "other"), [(20, "worded", "others"), (25, "others", "worded")])
def test_a_model_of_other_joints_takes_a_clip_by_their_names(
    client: Client, worded: Path, others: Path, joints: int, own: str, other: str
) -> None:
    array = clip(joints=joints)
    said = client(worded, others).post("/clips", files={"file": ("a.npy", as_npy(array))}).json()
    seen = dict(zip(("worded", "others"), said["results"], strict=True))
    assert len(said["clip"]["parts"]) == joints  # drawn as it is
    assert seen[own]["scores"] and seen[own]["mapped"] == ""
    layout = {20: "kinect20", 25: "ntu25"}[joints]
    expected = Predictor({"worded": worded, "others": others}[other], device="cpu").predict([array], layout=layout)[0]
    assert [answer["action"] for answer in seen[other]["scores"]] == [score.action for score in expected.scores]
    assert expected.mapping is not None and seen[other]["mapped"] == expected.mapping.report()
    # What is lit is joints of the clip, not of the model.
    names = load_layout(layout).joints
    lit = {level["name"]: {names[place] for place in level["joints"]} for level in seen["worded"]["text"]["levels"]}
    assert "head" in lit["head"] and {"left_foot", "right_foot"} <= lit["foot"]


def test_a_model_whose_joints_cannot_be_made_says_so_while_the_other_goes_on(
    client: Client, worded: Path, tmp_path: Path
) -> None:
    table = {**load_layout("kinect20").table(), "name": "tails"}
    table = json.loads(json.dumps(table).replace("right_foot", "tail"))  # nothing that anybody has
    tails = write_run(tmp_path / "tails", None, layout=table)
    seen = client(worded, tails).post("/clips", files={"file": ("a.npy", as_npy(clip()))}).json()["results"]
    assert seen[0]["scores"] and seen[0]["error"] == ""
    assert "cannot be mapped to tails" in seen[1]["error"] and "make tail of" in seen[1]["error"] and "scores" not in seen[1]


def test_poses_of_a_video_are_taken_as_the_predictor_takes_them(
    client: Client, others: Path, worded: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    pixels, world = rng.normal(size=(2, 12, 25, 2)), rng.normal(size=(2, 12, 25, 3))
    world[1] *= 3  # moves more
    world[:, 0], pixels[:, 0] = 0, 0  # nobody is there
    poses = Poses(
        load_layout("ntu25"),
        pixels.astype(np.float32),
        np.ones((2, 12, 25), np.float32),
        30.0,
        (64, 48),
        world.astype(np.float32),
    )
    path = tmp_path / "video.npz"
    write_poses(poses, path)
    for first in (others, worded):
        said = client(first).post("/clips", files={"file": (path.name, path.read_bytes())}).json()
        with pytest.warns(UserWarning, match="2 people, or"):
            expected = Predictor(first, device="cpu").predict(path)[0]
        assert [answer["action"] for answer in said["results"][0]["scores"]] == [score.action for score in expected.scores]
        assert (said["clip"]["frames"], len(said["clip"]["people"]), len(said["clip"]["parts"])) == (11, 1, 25)
    app = client(limits=Limits(rate=0, frames=11))
    assert app.post("/clips", files={"file": (path.name, path.read_bytes())}).status_code == 413


def test_examples_are_of_the_tested_side_or_synthetic(client: Client, worded: Path, pairs: Path, store_path: Path) -> None:
    store = open_store(store_path)
    tested = {str(store.clips["name"][place]) for place in store.subset("cross-person", "test")}
    found = client(worded).get("/api/examples").json()
    assert {example["name"] for example in found} <= tested
    assert len({example["label"] for example in found}) == 12
    assert {example["num_persons"] for example in client(pairs).get("/api/examples").json()} == {1, 2}


def test_a_packaged_recognizer_of_any_body_has_examples_too() -> None:
    from fastapi.testclient import TestClient

    app = TestClient(
        server.create_app([ModelService("everyday", id="everyday", limits=Limits(rate=0))]), base_url="http://localhost"
    )
    assert len(app.get("/api/examples").json()) == 12
    seen = app.get("/api/examples/0", params={"actions": "wave with one hand, sit down"}).json()
    assert len(seen["clip"]["parts"]) == 20 and len(seen["results"][0]["scores"]) == 2, seen["results"][0]["error"]


def test_a_clip_is_drawn_on_the_floor_and_gaps_are_gaps(client: Client) -> None:
    joints = clip(frames=3)
    joints[0, 1] = 0
    joints[0, 2, 4] = 0
    drawn = client().post("/clips", files={"file": ("a.npy", as_npy(joints))}).json()["clip"]
    first, second, third = drawn["people"][0]
    assert second is None
    assert third[12:15] == [None, None, None] and None not in third[:12]
    seen = np.array([*first, *third[:12], *third[15:]]).reshape(-1, 3)
    assert seen[:, 1].min() == 0
    assert np.ptp(seen, axis=0).max() == pytest.approx(1000, abs=1)


def test_the_page_and_all_it_loads_are_here_and_nothing_else_may_be_loaded(client: Client) -> None:
    app = client()
    page = app.get("/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    for name in [path.name for path in server.STATIC.glob("*.*")]:
        assert app.get(f"/static/{name}").status_code == 200
    own = "".join(path.read_text() for path in server.STATIC.glob("*.*")).replace("http://www.w3.org/2000/svg", "")
    assert "http://" not in own and "https://" not in own and "//cdn" not in own
    assert "<script>" not in page.text and " style=" not in page.text and " onclick" not in page.text


def test_openapi_describes_every_route_and_limit(client: Client) -> None:
    described = client(limits=Limits(frames=77, people=3)).get("/openapi.json").json()
    assert set(described["paths"]) >= {
        "/predict",
        "/clips",
        "/healthz",
        "/metrics",
        "/api/models",
        "/api/layouts",
        "/api/examples/{id}",
    }
    joints = described["components"]["schemas"]["PredictBody"]["properties"]["joints"]
    assert joints["maxItems"] == 3 and joints["items"]["maxItems"] == 77
    assert {"413", "422", "429", "503", "504"} <= set(described["paths"]["/predict"]["post"]["responses"])


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 422, "joints"),
        ({"joints": []}, 422, "joints"),
        ({"joints": "clip.npy"}, 422, "joints"),
        ({"joints": [[[[1, 2]] * 20]]}, 422, "2 numbers each"),
        ({"joints": [[[[1, 2, 3]] * 19]]}, 422, "19 in a frame"),
        ({"joints": [[[[1, 2, 3]] * 20, [[1, 2, 3]] * 19]]}, 422, "same number"),
        ({"joints": [[[[1, 2, 3]] * 20], [[[1, 2, 3]] * 20] * 2]}, 422, "same number of frames"),
        ({"joints": [[[[1, 2, True]] * 20]]}, 422, "joints"),
        ({"joints": [[[[1, 2, 1e30]] * 20]]}, 422, "joints"),
        ({"joints": [[[[1, 2, 3]] * 20]], "path": "/etc/passwd"}, 422, "path"),
        ({"joints": [[[[1, 2, 3]] * 20]], "model": "../worded"}, 404, "no such model"),
        ({"joints": [[[[1, 2, 3]] * 20]], "model": "\ud800"}, 422, "JSON"),
        ({"joints": [[[[1, 2, 3]] * 20]], "top": 0}, 422, "top"),
        ({"joints": [[[[1, 2, 3]] * 20]] * 9}, 422, "joints"),
    ],
)
def test_bodies_that_are_refused(client: Client, body: Any, status: int, said: str) -> None:
    answer = client().post("/predict", content=json.dumps(body), headers=JSON)
    assert answer.status_code == status
    assert said in answer.json()["error"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"null",
        b'{"joints": [[[[NaN, 1, 2]]]]}',
        b'{"joints": 1e999}',
        b"[" * 100_000,
        b'"' + b"a" * 1000,
    ],
    ids=["empty", "an open brace", "no UTF-8", "null", "NaN", "infinity", "deep nesting", "an open string"],
)
def test_what_is_no_body_is_refused(client: Client, content: bytes) -> None:
    answer = client().post("/predict", content=content, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]


def test_a_clip_of_nobody_is_refused(client: Client) -> None:
    answer = client().post("/predict", json={"joints": np.zeros((1, 5, 20, 3)).tolist()})
    assert answer.status_code == 422 and "nobody" in answer.text


BOMB = gzip.compress(b"frame,joint,x,y,z\n" + b"0,0,0,0,0\n" * 400_000)


@pytest.mark.parametrize(
    ("name", "content", "status", "said"),
    [
        ("clip.pkl", pickle.dumps({"a": 1}), 422, "never read"),
        ("clip.exe", b"MZ", 422, "clip.exe"),
        ("../../etc/passwd", b"x", 422, "passwd"),
        ("/etc/hosts.npy", b"not an array", 422, "hosts.npy is not a NumPy array"),
        ("a.npy", b"", 422, "not a NumPy array"),
        ("a.npy", as_npy(np.array([{"a": 1}], dtype=object)), 422, "Python objects"),
        ("a.npy", as_npy(clip(joints=25)), 422, "25 joints"),
        ("a.npy", as_npy(clip(frames=3001)), 413, "3,001 frames"),
        ("a.npy", as_npy(clip(people=9, frames=2)), 413, "9 people"),
        ("a.npy", as_npy(np.full((1, 5, 20, 3), np.nan)), 422, "not finite"),
        ("a.csv", b"frame,joint,x,y,z\n" + b"".join(b"%d,0,0,0,0\n" % k for k in range(3001)), 413, "3,001 frames"),
        ("a.csv", b"a,b\n1,2\n", 422, "a.csv"),
        ("a.csv", b"\xff\xfe\x00", 422, "a.csv"),
        ("a.csv.gz", BOMB, 413, "unpacks to more than"),
        ("a.csv.gz", b"no gzip", 422, "gzip"),
        ("a.csv.gz", gzip.compress(b"frame,joint")[:-4], 422, "gzip"),
        (
            "a.npz",
            as_npz(**dict.fromkeys(("pixels", "confidence", "fps", "size", "layout"), np.array([{}], dtype=object))),
            422,
            "a.npz",
        ),
        ("a.npz", as_npz(pixels=1), 422, "lacks"),
        ("a.npz", b"PK", 422, "a.npz"),
        ("a.npz", huge_npz(), 422, "a.npz"),
        ("a.json", b"[" * 100_000, 422, "JSON"),
        ("a.skeleton", b"1\n1\n", 422, "a.skeleton"),
    ],
    ids=[
        "pickle",
        "exe",
        "path outside",
        "text as npy",
        "empty npy",
        "npy of objects",
        "npy of 25 joints",
        "npy of too many frames",
        "npy of too many people",
        "npy of NaN",
        "csv of too many frames",
        "csv without columns",
        "csv of no text",
        "gzip bomb",
        "text as gzip",
        "cut gzip",
        "npz of objects",
        "npz without arrays",
        "cut npz",
        "huge npz",
        "deep json",
        "skeleton",
    ],
)
def test_files_that_are_refused(client: Client, name: str, content: bytes, status: int, said: str) -> None:
    limits = Limits(rate=0, unpacked=2**20)
    answer = client(limits=limits).post("/clips", files={"file": (name, content)})
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
    assert "poseglot-upload" not in answer.text and "/tmp" not in answer.text


def test_no_file_of_an_upload_is_kept(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    app = client()
    for content in (as_npy(clip()), b"broken"):
        app.post("/clips", files={"file": ("a.npy", content)})
    assert list(tmp_path.iterdir()) == []


def test_what_is_too_large_is_not_read(client: Client) -> None:
    app = client(limits=Limits(rate=0, body=1000))
    assert app.post("/predict", content=b"x" * 1001).status_code == 413
    assert app.post("/predict", content=iter([b"x" * 600, b"x" * 600])).status_code == 413  # no length is said
    assert app.post("/predict", content=b"x" * 1000).status_code == 422


def test_a_client_that_asks_too_often_waits(client: Client) -> None:
    app = client(limits=Limits(rate=0.001, burst=3))
    body = {"joints": clip(frames=2).tolist()}
    said = [app.post("/predict", json=body) for _ in range(4)]
    assert [answer.status_code for answer in said] == [200, 200, 200, 429]
    assert int(said[-1].headers["retry-after"]) > 100
    assert app.get("/healthz").status_code == app.get("/").status_code == 200


def test_with_a_token_only_the_page_and_health_are_open(client: Client) -> None:
    app = client(token="open sesame")
    assert [app.get(path).status_code for path in ("/", "/static/page.js", "/healthz")] == [200, 200, 200]
    for path in ("/api/models", "/api/examples", "/api/examples/0", "/metrics", "/elsewhere"):
        assert app.get(path).status_code == 401
        assert app.get(path, headers={"authorization": "Bearer open"}).status_code == 401
    assert app.post("/predict", json={}).status_code == 401
    assert app.get("/api/models", headers={"authorization": "Bearer open sesame"}).status_code == 200


def test_pages_of_other_sites_are_kept_out(client: Client) -> None:
    app = client()
    assert app.get("/api/models", headers={"host": "evil.example"}).status_code == 403
    assert app.post("/predict", json={}, headers={"origin": "http://evil.example"}).status_code == 403
    assert app.post("/predict", json={}, headers={"origin": "http://localhost"}).status_code == 422
    assert "access-control-allow-origin" not in app.get("/api/models", headers={"origin": "http://evil.example"}).headers


def test_too_much_waits_or_is_sent_away_and_what_takes_too_long_is_given_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, entered = threading.Event(), threading.Event()

    def slow(self: ModelService, clip: Any, top: int, actions: Any = ()) -> list[dict[str, Any]]:
        entered.set()
        go.wait(30)
        return []

    monkeypatch.setattr(ModelService, "scores", slow)
    app = client(limits=Limits(rate=0, at_once=1, waiting=0, seconds=1.0))
    body, first = {"joints": clip(frames=2).tolist()}, []
    asking = threading.Thread(target=lambda: first.append(app.post("/predict", json=body)))
    asking.start()
    assert entered.wait(30)
    busy = app.post("/predict", json=body)
    asking.join()
    go.set()
    assert busy.status_code == 503 and busy.headers["retry-after"] == "1"
    assert first[0].status_code == 504


def test_numbers_are_counted_by_route_not_by_path(client: Client) -> None:
    app = client()
    app.post("/predict", json={"joints": clip(frames=2).tolist()})
    app.post("/predict", json={})
    for number in range(3):
        app.get(f"/made/up/{number}")
    text = app.get("/metrics").text
    assert 'poseglot_requests_total{method="POST",route="/predict",status="200"} 1.0' in text
    assert 'poseglot_requests_total{method="POST",route="/predict",status="422"} 1.0' in text
    assert 'route="other",status="404"} 3.0' in text
    assert "made" not in text
    assert 'poseglot_request_seconds_count{route="/predict"} 2.0' in text
    assert sys.platform != "linux" or "process_resident_memory_bytes" in text


def test_a_defect_is_a_500_that_says_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("a secret")

    monkeypatch.setattr(ModelService, "scores", broken)
    answer = client(raise_server_exceptions=False).post("/predict", json={"joints": clip(frames=2).tolist()})
    assert answer.status_code == 500
    assert "secret" not in answer.text and "defect" in answer.json()["error"]
