"""The page in a real Chromium: it loads without network, plays, takes files good and bad, shows two people and two models.

Needs Chromium and its driver (Debian: `chromium`, `chromium-driver`), and selenium.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from poseglot.skeletons.layout import load_layout
from tests.app.web.test_running import start

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
# Nothing of the browser's own may reach for the network.
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
# Without a graphics processor there is no WebGL, or one that SwiftShader computes, a few frames a second.
PLAIN, WEBGL = ("--disable-gpu",), ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")

Open = Callable[..., Any]


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Open]:
    """Opens the page of a server of some runs in a fresh browser; waits until the first clip is shown."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no Chromium with its driver here (apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    running: list[Any] = []

    def make(
        *runs: Path, width: int = 1440, height: int = 900, flags: tuple[str, ...] = PLAIN, calm: bool = False, query: str = ""
    ) -> Any:
        process, address = start("serve", *runs, "--port", 0, "--rate", 0)
        running.append(process)
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, *flags, f"--user-data-dir={tmp_path / f'profile{len(running)}'}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service(DRIVER))
        running.append(driver)
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        # No window has the focus here; without it no element gets the event.
        driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        if calm:
            wanted = [{"name": "prefers-reduced-motion", "value": "reduce"}]
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        driver.get(address + query)
        until(driver, "return document.querySelector('article') && !document.body.classList.contains('busy')")
        return driver

    yield make
    for one in running:
        one.quit() if hasattr(one, "quit") else one.kill()


def until(driver: Any, script: str, seconds: float = 60) -> Any:
    """What a script says once it says something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := driver.execute_script(script):
            return found
        time.sleep(0.05)
    fault = driver.execute_script("return document.getElementById('fault').textContent")
    raise AssertionError(f"never true: {script} ({fault})")


def send(driver: Any, path: Path) -> None:
    """Upload a file as a person does, and wait for what comes of it."""
    driver.execute_script("document.getElementById('said').textContent = document.getElementById('fault').textContent = ''")
    driver.find_element("id", "file").send_keys(str(path))
    until(
        driver,
        "return (document.getElementById('said').textContent || document.getElementById('fault').textContent)"
        " && !document.body.classList.contains('busy')",
    )


def pixels(driver: Any) -> int:
    """How many different colors the canvas shows, roughly."""
    return int(
        driver.execute_script(
            """const from = document.getElementById("canvas"), to = document.createElement("canvas");
            [to.width, to.height] = [160, 120];
            poseglot.player.drawing.redraw();
            const context = to.getContext("2d");
            context.drawImage(from, 0, 0, 160, 120);
            const { data } = context.getImageData(0, 0, 160, 120);
            return new Set(new Uint32Array(data.buffer)).size;"""
        )
    )


# The box around everything that has a part's color (strong colors, that is), in 160 x 120 squares of the canvas.
INK = """const from = document.getElementById("canvas"), to = document.createElement("canvas");
[to.width, to.height] = [160, 120];
poseglot.player.drawing.redraw();
const context = to.getContext("2d");
context.drawImage(from, 0, 0, 160, 120);
const { data } = context.getImageData(0, 0, 160, 120), xs = [], ys = [];
for (let k = 0; k < data.length; k += 4) {
  if (data[k + 3] > 200 && Math.max(data[k], data[k + 1], data[k + 2]) - Math.min(data[k], data[k + 1], data[k + 2]) > 90) {
    xs.push((k / 4) % 160); ys.push(Math.floor(k / 640));
  }
}
return [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];"""


def text(driver: Any, selector: str) -> str:
    return str(driver.execute_script("return document.querySelector(arguments[0]).textContent", selector))


def asked(driver: Any) -> set[str]:
    """The addresses that were requested over a network; the browser's own new tab is none."""
    import json

    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    urls = [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    return {url for url in urls if url.startswith("http")}


def test_it_loads_plays_and_scrubs_without_network(open_page: Open, worded: Path) -> None:
    driver = open_page(worded)
    assert pixels(driver) > 20
    assert driver.execute_script("return poseglot.player.playing")
    before = driver.execute_script("return poseglot.player.drawn")
    until(driver, f"return poseglot.player.drawn > {before + 5}")
    driver.find_element("tag name", "body").send_keys(" ")
    assert not driver.execute_script("return poseglot.player.playing")
    body = driver.find_element("tag name", "body")
    for key, frame in (("\ue011", 0), ("\ue014", 1), ("\ue014", 2), ("\ue012", 1)):
        body.send_keys(key)
        assert driver.execute_script("return poseglot.player.time") == frame
    assert text(driver, "#frame").startswith("2 / ")
    until(driver, "return document.querySelectorAll('.level').length === 4")
    hosts = {url.split("/")[2] for url in asked(driver)}
    assert len(hosts) == 1 and hosts.pop().startswith("127.0.0.1")
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def test_a_part_is_lit_while_its_sentence_has_the_focus(open_page: Open, worded: Path) -> None:
    driver = open_page(worded)
    driver.execute_script("poseglot.player.set(false)")
    until(driver, "return document.querySelectorAll('.level').length === 4")
    driver.execute_script("document.querySelectorAll('.level')[0].focus()")
    lit = driver.execute_script("return [...poseglot.player.drawing.joints]")
    assert lit == list(load_layout("kinect20").partition("four")["head"])
    driver.execute_script("document.activeElement.blur()")
    assert driver.execute_script("return poseglot.player.drawing.joints") is None
    assert len(text(driver, ".level .sentence")) > 10


def test_files_good_and_bad(open_page: Open, worded: Path, tmp_path: Path) -> None:
    driver = open_page(worded)
    good, bad, pickled = tmp_path / "good.npy", tmp_path / "bad.npy", tmp_path / "bad.pkl"
    np.save(good, np.random.default_rng(0).normal(size=(1, 33, 20, 3)))
    bad.write_bytes(b"<img src=x onerror=alert(1)>")
    pickled.write_bytes(b"\x80\x04.")
    send(driver, good)
    assert text(driver, "#clip-name") == "good" and text(driver, "#frame").endswith("/ 33")
    assert "good" in text(driver, "#said") and text(driver, "#fault") == ""
    for path, said in ((bad, "not a NumPy array"), (pickled, "never read")):
        send(driver, path)
        assert said in text(driver, "#fault")
        assert text(driver, "#clip-name") == "good"  # what was shown stays
    assert driver.find_element("id", "fault").get_attribute("role") == "alert"


def test_two_people_and_two_models_one_of_which_refuses(open_page: Open, worded: Path, pairs: Path, tmp_path: Path) -> None:
    driver = open_page(worded, pairs)
    assert driver.execute_script("return document.querySelectorAll('article').length") == 2
    both = tmp_path / "both.npy"
    np.save(both, np.random.default_rng(0).normal(size=(2, 20, 20, 3)))
    send(driver, both)
    assert "two people" in text(driver, "#clip-about").replace("2 people", "two people")
    articles = [article.text for article in driver.find_elements("tag name", "article")]
    assert "at most 1 people" in articles[0]
    assert "%" in articles[1]
    assert pixels(driver) > 30


def test_a_model_of_other_joints_takes_the_clip_and_lights_its_joints(
    open_page: Open, others: Path, worded: Path, tmp_path: Path
) -> None:
    driver = open_page(others, worded)
    ntu = tmp_path / "ntu.npy"
    np.save(ntu, np.random.default_rng(0).normal(size=(1, 20, 25, 3)))
    send(driver, ntu)
    articles = [article.text for article in driver.find_elements("tag name", "article")]
    assert all("%" in article for article in articles)
    assert "found by name" not in articles[0] and "found by name" in articles[1]
    until(driver, "return document.querySelectorAll('.level').length === 4")
    driver.execute_script("poseglot.player.set(false); document.querySelectorAll('.level')[0].focus()")
    assert len(driver.execute_script("return poseglot.player.drawing.clip.parts")) == 25
    lit = driver.execute_script("return [...poseglot.player.drawing.joints]")
    names = load_layout("ntu25").joints
    assert "head" in {names[place] for place in lit}


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen_and_every_control_has_a_name(open_page: Open, worded: Path, width: int) -> None:
    driver = open_page(worded, width=width, height=844)
    until(driver, "return document.querySelector('.level')")
    assert driver.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = {"button", "slider", "combobox", "textbox", "link", "image", "group"}
    for node in nodes:
        role, name = node.get("role", {}).get("value"), node.get("name", {}).get("value", "")
        if role in controls and not node.get("ignored"):
            assert name.strip(), node


def test_whoever_wants_little_motion_gets_a_still(open_page: Open, worded: Path) -> None:
    driver = open_page(worded, calm=True)
    assert not driver.execute_script("return poseglot.player.playing")
    assert pixels(driver) > 20


def test_with_webgl_and_without_it_is_drawn_alike(open_page: Open, worded: Path) -> None:
    solid = open_page(worded, flags=WEBGL, query="?draw=3d")
    assert solid.execute_script(
        "return poseglot.player.drawing.constructor.name !== 'Flat' && !!poseglot.player.drawing.renderer"
    )
    flat = open_page(worded)
    assert flat.execute_script("return !poseglot.player.drawing.renderer")
    for driver in (solid, flat):
        driver.execute_script("poseglot.player.set(false); poseglot.player.go(5)")
        assert pixels(driver) > 20
    # Where the ink is: both cameras look from the same place.
    boxes = [solid.execute_script(INK), flat.execute_script(INK)]
    assert np.abs(np.subtract(*boxes)).max() < 12


def test_a_slower_pace_shows_every_frame_of_200(open_page: Open, worded: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.npy"
    np.save(long, np.cumsum(np.random.default_rng(0).normal(size=(1, 200, 20, 3)), axis=1))
    driver = open_page(worded)
    send(driver, long)
    seen = driver.execute_async_script(
        """const done = arguments[0], { player } = poseglot, frames = new Set(), { drawing } = player, { draw } = drawing;
        drawing.draw = (time) => { frames.add(Math.round(time)); draw.call(drawing, time); };
        player.go(0); player.set(true);
        const wait = () => (frames.size >= 199 ? done(frames.size) : setTimeout(wait, 50));
        wait();"""
    )
    assert seen >= 199


def test_who_draws_slowly_leaves_frames_out(open_page: Open, worded: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.npy"
    np.save(long, np.cumsum(np.random.default_rng(0).normal(size=(1, 200, 20, 3)), axis=1))
    driver = open_page(worded)
    send(driver, long)
    # The browser's frames come when we say: at once, after a sixtieth of a second, after a second, and after two.
    times = driver.execute_script(
        """const { player } = poseglot, times = [], own = window.requestAnimationFrame;
        player.set(false); player.go(0); player.waiting = false;
        let next; window.requestAnimationFrame = (call) => { next = call; };
        player.set(true);
        for (const now of [5000, 5000 + 1000 / 60, 6000, 8000]) { next(now); times.push(player.time); }
        window.requestAnimationFrame = own;
        return times;"""
    )
    assert times == pytest.approx([0, 0.5, 30, 90])  # 30 a second


def test_marks_of_the_curves_follow(open_page: Open, worded: Path) -> None:
    driver = open_page(worded)
    driver.execute_script("poseglot.player.set(false); poseglot.player.go(0)")
    where = "return document.querySelector('.chart .now').getBoundingClientRect().x"
    first = driver.execute_script(where)
    assert driver.execute_script("return document.getElementById('seek').getAttribute('aria-valuetext')").startswith(
        "frame 1 of "
    )
    driver.execute_script("poseglot.player.set(true)")
    until(driver, f"{where} > {first} + 5")
    driver.execute_script("poseglot.player.set(false)")
    driver.find_element("tag name", "body").send_keys("\ue010")  # End
    box = driver.execute_script(
        "const box = document.querySelector('.chart').getBoundingClientRect(); return [box.x, box.width]"
    )
    assert driver.execute_script(where) == pytest.approx(box[0] + box[1] * 512 / 520, abs=2)
    assert first == pytest.approx(box[0] + box[1] * 52 / 520, abs=2)
