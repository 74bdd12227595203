"""The page in a real Chromium: it loads without network, plays, takes files good and bad, shows two people and two models.

Needs Chromium and its driver (Debian: `chromium`, `chromium-driver`), and selenium.
"""

from __future__ import annotations

import json
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

# A clip and its results are shown, and no text is still being encoded.
SHOWN = """return document.querySelector("article") && !document.body.classList.contains("busy")
 && !document.body.textContent.includes("being encoded");"""

LEVELS = 5  # of the run with text: the whole body and four parts
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address_of() -> Iterator[Callable[..., str]]:
    """Serves some runs, once for all tests of this file, since a server takes seconds to start."""
    servers: dict[tuple[Path, ...], tuple[Any, str]] = {}

    def serve(*runs: Path) -> str:
        if runs not in servers:
            servers[runs] = start("serve", *runs, "--port", 0, "--rate", 0, "--timeout", 120)
        return servers[runs][1]

    yield serve
    for process, _ in servers.values():
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def browser_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Starts a browser with some flags, once for all tests of this file."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no Chromium with its driver here (apt-get install chromium chromium-driver)")
    webdriver = pytest.importorskip("selenium.webdriver")
    from selenium.webdriver.chrome.service import Service

    drivers: dict[tuple[str, ...], Any] = {}

    def browse(flags: tuple[str, ...]) -> Any:
        if flags not in drivers:
            options = webdriver.ChromeOptions()
            options.binary_location = CHROMIUM
            for flag in (*FLAGS, *flags, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
                options.add_argument(flag)
            options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
            drivers[flags] = webdriver.Chrome(options=options, service=Service(DRIVER))
        return drivers[flags]

    yield browse
    for driver in drivers.values():
        driver.quit()


@pytest.fixture
def everyone(others: Path, worded: Path, pairs: Path) -> tuple[Path, ...]:
    """Runs of other joints, with text, and for two people: one server has them all."""
    return others, worded, pairs


@pytest.fixture
def open_page(address_of: Callable[..., str], browser_with: Callable[..., Any]) -> Open:
    """Opens the page of a server of some runs anew; waits until the first clip and its texts are shown."""

    def make(
        *runs: Path, width: int = 1440, height: int = 900, flags: tuple[str, ...] = PLAIN, calm: bool = False, query: str = ""
    ) -> Any:
        address, driver = address_of(*runs), browser_with(flags)
        driver.get("about:blank")
        for log in ("browser", "performance"):
            driver.get_log(log)  # what an earlier test left
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": width < 600})
        # No window has the focus here; without it no element gets the event.
        driver.execute_cdp_cmd("Emulation.setFocusEmulationEnabled", {"enabled": True})
        wanted = [{"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        driver.get(address + query)
        until(driver, SHOWN)
        return driver

    return make


def until(driver: Any, script: str, seconds: float = 180) -> Any:
    """What a script says once it says something true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := driver.execute_script(script):
            return found
        time.sleep(0.1)
    fault = driver.execute_script("return document.getElementById('fault').textContent")
    raise AssertionError(f"never true: {script} ({fault})")


def wait_for(driver: Any, request: Callable[[], object]) -> None:
    """Make the page request a clip, and wait for what comes of it."""
    driver.execute_script("document.getElementById('said').textContent = document.getElementById('fault').textContent = ''")
    request()
    until(
        driver,
        "return (document.getElementById('said').textContent || document.getElementById('fault').textContent)"
        " && !document.body.classList.contains('busy')",
    )


def send(driver: Any, path: Path) -> None:
    """Upload a file as a person does, and wait for what comes of it."""
    wait_for(driver, lambda: driver.find_element("id", "file").send_keys(str(path)))


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


def articles(driver: Any) -> list[str]:
    """The models' cards, with what is folded."""
    return list(driver.execute_script("return [...document.querySelectorAll('article')].map((one) => one.textContent)"))


def asked(driver: Any) -> set[str]:
    """The addresses that were requested over a network; the browser's own new tab is none."""
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
    assert driver.execute_script("return document.querySelectorAll('.level').length") == LEVELS
    hosts = {url.split("/")[2] for url in asked(driver)}
    assert len(hosts) == 1 and hosts.pop().startswith("127.0.0.1")
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def test_a_part_is_lit_while_its_sentence_has_the_focus(open_page: Open, worded: Path) -> None:
    driver = open_page(worded)
    driver.execute_script("poseglot.player.set(false)")
    assert driver.execute_script("return document.querySelectorAll('.level').length") == LEVELS
    driver.execute_script("document.querySelectorAll('.level')[1].focus()")
    lit = driver.execute_script("return [...poseglot.player.drawing.joints]")
    assert lit == list(load_layout("kinect20").partition("four")["head"])
    driver.execute_script("document.activeElement.blur()")
    assert driver.execute_script("return poseglot.player.drawing.joints") is None
    assert len(text(driver, ".levels li:nth-child(2) .sentence")) > 10


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


def test_actions_that_are_typed_have_bars_and_the_clip_plays_on(open_page: Open, worded: Path) -> None:
    driver = open_page(worded)
    driver.execute_script("poseglot.player.set(false); poseglot.player.go(5)")
    field = driver.find_element("id", "actions")
    wait_for(driver, lambda: field.send_keys("fly a kite, jump <b>up</b>, stand on one leg\ue007"))
    bars = "return [...document.querySelectorAll('.bars .name')].map((one) => one.textContent).sort()"
    assert driver.execute_script(bars) == ["fly a kite", "jump <b>up</b>", "stand on one leg"]
    (card,) = articles(driver)
    assert "Among the 3 actions that you typed" in card and "'fly a kite' is not described" in card
    assert driver.execute_script("return poseglot.player.time") == 5
    wait_for(driver, lambda: field.send_keys("\ue009a\ue000\ue017jump\ue007"))  # all of it is replaced by one name
    assert "at least two" in articles(driver)[0]
    wait_for(driver, lambda: (field.clear(), field.send_keys("\ue007")))
    assert len(driver.execute_script(bars)) == 5 and "typed" not in articles(driver)[0]
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def test_a_long_recording_is_scrubbed_on_its_timeline(open_page: Open, worded: Path, tmp_path: Path) -> None:
    driver, recording = open_page(worded), tmp_path / "long.npy"
    np.save(recording, np.random.default_rng(0).normal(size=(1, 300, 20, 3)))
    send(driver, recording)
    strip = driver.find_element("css selector", ".strip")
    assert driver.execute_script("return document.querySelectorAll('.strip button').length") > 0
    webdriver = pytest.importorskip("selenium.webdriver")
    webdriver.ActionChains(driver).move_to_element(strip).click().perform()
    assert abs(driver.execute_script("return poseglot.player.time") - 150) <= 2
    assert not driver.execute_script("return poseglot.player.playing")
    assert driver.execute_script("return document.querySelectorAll('.strip [aria-current=true]').length") <= 1
    driver.execute_script("document.querySelector('.strip button').focus()")
    driver.switch_to.active_element.send_keys("\ue007")
    assert driver.execute_script("return poseglot.player.time") < 150
    complaints = [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
    assert complaints == []


def test_two_people_and_models_some_of_which_refuse(open_page: Open, everyone: tuple[Path, ...], tmp_path: Path) -> None:
    driver = open_page(*everyone)
    assert driver.execute_script("return document.querySelectorAll('article').length") == len(everyone)
    both = tmp_path / "both.npy"
    np.save(both, np.random.default_rng(0).normal(size=(2, 20, 20, 3)))
    send(driver, both)
    assert "2 people" in text(driver, "#clip-about")
    _, one_person, two_people = articles(driver)
    assert "at most 1 person " in one_person
    assert "%" in two_people
    assert pixels(driver) > 30


def test_a_model_of_other_joints_takes_the_clip_and_lights_its_joints(
    open_page: Open, everyone: tuple[Path, ...], tmp_path: Path
) -> None:
    driver = open_page(*everyone)
    ntu = tmp_path / "ntu.npy"
    np.save(ntu, np.random.default_rng(0).normal(size=(1, 20, 25, 3)))
    send(driver, ntu)
    same, other, _ = articles(driver)
    assert "%" in same and "%" in other
    assert "by name" not in same and "by name" in other
    assert driver.execute_script("return document.querySelectorAll('.level').length") == LEVELS
    driver.execute_script("poseglot.player.set(false); document.querySelectorAll('.level')[1].focus()")
    assert len(driver.execute_script("return poseglot.player.drawing.clip.parts")) == 25
    lit = driver.execute_script("return [...poseglot.player.drawing.joints]")
    names = load_layout("ntu25").joints
    assert "head" in {names[place] for place in lit}


def test_a_file_is_read_again_with_the_layout_that_is_chosen(
    open_page: Open, everyone: tuple[Path, ...], tmp_path: Path
) -> None:
    driver = open_page(*everyone)
    clip = tmp_path / "clip.npy"
    np.save(clip, np.random.default_rng(0).normal(size=(1, 20, 25, 3)))
    send(driver, clip)
    choose = """const layout = document.getElementById("layout");
        layout.value = arguments[0];
        layout.dispatchEvent(new Event("change", { bubbles: true }));"""
    wait_for(driver, lambda: driver.execute_script(choose, "kinect20"))
    assert "25 joints" in text(driver, "#fault")
    wait_for(driver, lambda: driver.execute_script(choose, "ntu25"))
    assert text(driver, "#fault") == ""


def test_a_2d_clip_has_no_controls_of_3d(open_page: Open, everyone: tuple[Path, ...], tmp_path: Path) -> None:
    driver = open_page(*everyone)
    shown = "return [...document.querySelectorAll('#front, .turn')].filter((one) => one.checkVisibility()).length"
    assert driver.execute_script(shown) > 0
    poses = tmp_path / "poses.json"
    joints = np.random.default_rng(0).uniform(100, 400, size=(20, 17, 3))
    joints[..., 2] = 1
    poses.write_text(json.dumps([
        {"image_id": frame, "category_id": 1, "keypoints": rows.ravel().tolist(), "score": 1} for frame, rows in enumerate(joints)
    ]))  # fmt: skip
    send(driver, poses)
    assert "2D" in text(driver, "#clip-about")
    assert driver.execute_script(shown) == 0


def test_on_a_phone_the_texts_are_folded_and_the_words_are_of_touch(open_page: Open, worded: Path) -> None:
    driver = open_page(worded, width=390, height=844)
    shown = "return document.querySelector(arguments[0]).checkVisibility()"
    assert not driver.execute_script(shown, ".level")
    driver.find_element("css selector", ".text summary").click()
    assert driver.execute_script(shown, ".level") and "Tap a part" in driver.find_element("css selector", ".text").text
    assert "pinch" in driver.find_element("id", "hint").text and "scroll" not in driver.find_element("id", "hint").text
    driver.execute_script("document.querySelectorAll('#examples button')[1].click()")
    until(driver, f"return document.querySelectorAll('.level').length && ({SHOWN.removeprefix('return ').rstrip(';')})")
    assert driver.execute_script(shown, ".level")  # as it was left


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_screen_and_every_control_has_a_name(
    open_page: Open, everyone: tuple[Path, ...], width: int
) -> None:
    driver = open_page(*everyone, width=width, height=844)
    assert driver.execute_script("return document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    nodes = driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = {"button", "slider", "combobox", "textbox", "link", "image", "group", "DisclosureTriangle"}
    found = [node for node in nodes if not node.get("ignored") and node.get("role", {}).get("value") in controls]
    assert len(found) > 20
    for node in found:
        if not node["name"]["value"].strip():
            element = driver.execute_cdp_cmd("DOM.describeNode", {"backendNodeId": node["backendDOMNodeId"]})["node"]
            assert element["nodeName"] == "DETAILS", element  # its summary names it


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


def test_the_pace_shows_every_frame_of_200_and_who_draws_slowly_leaves_frames_out(
    open_page: Open, worded: Path, tmp_path: Path
) -> None:
    long = tmp_path / "long.npy"
    np.save(long, np.cumsum(np.random.default_rng(0).normal(size=(1, 200, 20, 3)), axis=1))
    driver = open_page(worded)
    send(driver, long)
    # The browser's frames come when we say, at these milliseconds.
    play = """const [times] = arguments, { player } = poseglot, own = window.requestAnimationFrame;
        player.set(false); player.go(0); player.waiting = false;
        const drawn = [], { draw } = player.drawing;
        player.drawing.draw = (time) => { drawn.push(time); draw.call(player.drawing, time); };
        let next; window.requestAnimationFrame = (call) => { next = call; };
        player.set(true);
        for (const now of times) next(now);
        window.requestAnimationFrame = own; player.drawing.draw = draw;
        return drawn;"""
    smooth = driver.execute_script(play, [5000 + frame * 1000 / 60 for frame in range(400)])
    assert {round(time) for time in smooth} >= set(range(199))
    # At once, after a sixtieth of a second, after a second, and after two: 30 a second.
    assert driver.execute_script(play, [5000, 5000 + 1000 / 60, 6000, 8000]) == pytest.approx([0, 0.5, 30, 90])


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
