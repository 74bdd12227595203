"""Whether the page draws a clip of 200 frames at 60 frames a second without stutter, and what a drawn frame costs: a real Chromium.

    python benchmarks/page.py
    python benchmarks/page.py --ways flat --seconds 20

The clip is a synthetic one, made 200 frames long, and plays at twice its pace of 30 frames a second, so that every frame of it is due for a
sixtieth of a second. The browser has no window and no graphics processor: `flat` is the page's own drawing without WebGL, `3d` is three.js
on a WebGL that the processor computes (SwiftShader), which the page chooses only when asked (`?draw=3d`). Both are the worst case.

The processor's seconds are those of all the browser's processes, and do not depend on what else the machine does; frames a second do.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from measuring import busy_seconds, machine, served, table, write_results
from serving import _cpu, _random_run

from poseglot.data import synthetic

FRAMES, SPEED = 200, "2"
LATE = 25  # milliseconds between two frames: one was left out
WAYS = {"flat": ("", ("--disable-gpu",)), "3d": ("?draw=3d", ("--use-angle=swiftshader", "--enable-unsafe-swiftshader"))}
FLAGS = ("--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update")
# Plays for a while; how long the browser's script takes for a frame is looked at around `go`, and when frames come by their callbacks.
PLAY = """
const [seconds, speed, done] = arguments, { player } = poseglot;
const speeds = document.getElementById("speed");
speeds.value = speed;
const [times, spent] = [[], []];
const { go } = player;
player.go = (time) => {
  const start = performance.now();
  go.call(player, time);
  spent.push(performance.now() - start); times.push(start);
};
player.set(false); go.call(player, 0); player.set(true);
setTimeout(() => { player.set(false); delete player.go; done({ times, spent }); }, 1000 * seconds);
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS), help="of drawing (both)")
    parser.add_argument("--seconds", type=float, default=10, help="to play, each (10)")
    parser.add_argument("--size", type=int, nargs=2, default=[1440, 900], help="of the window, in pixels (1440 900)")
    parser.add_argument("--out", type=Path, default=Path("results/page"))
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, clip = _random_run(Path(folder), 16), long_clip(Path(folder))
        rows = [measure(run, clip, way, parsed.seconds, parsed.size) for way in parsed.ways]
    about = machine()
    text = f"""# What the page's frames cost

A synthetic clip of {FRAMES} frames, {parsed.size[0]} x {parsed.size[1]} pixels, played for
{parsed.seconds:g} s at 60 of its frames a second.

{table(rows)}
*script* is the page's own part of a frame, *processor* that of all processes of the browser together (script, layout, painting, WebGL
computed by the processor); *between* is the time from frame to frame; *late* are those
that came more than {LATE} ms after the one before. *others* is how many cores other work kept busy meanwhile.

{about["processor"]}, {about["cores"]} cores, no graphics processor, commit {about["commit"]}, {about["when"]}

```
{about["command"]}
```
"""
    write_results(parsed.out, "table", text, {"rows": rows, "machine": about})


def long_clip(folder: Path) -> Path:
    """A file with a synthetic clip, forwards and backwards until it has 200 frames."""
    joints = synthetic.make_clips(persons=1, cameras=1, repeats=1, seed=0)[2].joints
    to_and_fro = np.concatenate([joints, joints[:, ::-1]], axis=1)
    path = folder / "long.npy"
    np.save(path, np.tile(to_and_fro, (1, -(-FRAMES // to_and_fro.shape[1]), 1, 1))[:, :FRAMES])
    return path


def measure(run: Path, clip: Path, way: str, seconds: float, size: list[int]) -> dict[str, Any]:
    """A row of the table."""
    query, flags = WAYS[way]
    with served(run) as (_, address):
        driver, family = browser(flags, size)
        try:
            driver.get(address + query)
            wait(driver, "return document.querySelector('article') && !document.body.classList.contains('busy')")
            driver.find_element("id", "file").send_keys(str(clip))
            wait(driver, f"return document.getElementById('seek').max === '{FRAMES - 1}'")
            driver.set_script_timeout(seconds + 60)
            time.sleep(1)
            clock, busy, before = time.perf_counter(), busy_seconds(), costs(family)
            played = driver.execute_async_script(PLAY, seconds, SPEED)
            passed, spent = time.perf_counter() - clock, costs(family) - before
            others = max(0.0, busy_seconds() - busy - spent.total()) / passed
        finally:
            driver.quit()
    between = np.diff(played["times"])
    drawn = len(played["times"])
    return {
        "way": way,
        "drawn/s": drawn / seconds,
        "between, p50, ms": float(np.quantile(between, 0.5)),
        "p99, ms": float(np.quantile(between, 0.99)),
        "longest, ms": float(between.max()),
        "late": f"{int((between > LATE).sum())}/{len(between)}",
        "script, ms": float(np.mean(played["spent"])),
        "processor, ms": 1000 * spent.total() / drawn,
        "of it page / painting / rest": " / ".join(
            f"{1000 * spent[kind] / drawn:.1f}" for kind in ("renderer", "gpu-process", "rest")
        ),
        "others": f"{others:.2f}",
    }


def browser(flags: tuple[str, ...], size: list[int]) -> tuple[Any, int]:
    """A Chromium, and the process that its processes come from."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    chromium, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and driver):
        sys.exit("there is no Chromium with its driver here (apt-get install chromium chromium-driver)")
    options, service = webdriver.ChromeOptions(), Service(driver)
    options.binary_location = chromium
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    started = webdriver.Chrome(options=options, service=service)
    metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": False}
    started.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    return started, service.process.pid


def costs(family: int) -> Counter[str]:
    """Seconds of processor by kind of process: the page, what paints, and the rest."""
    spent: Counter[str] = Counter()
    for pid in descendants(family):
        try:
            kind = re.search(rb"--type=([\w-]+)", Path(f"/proc/{pid}/cmdline").read_bytes())
            name = kind[1].decode() if kind else "rest"
            spent[name if name in ("renderer", "gpu-process") else "rest"] += _cpu(pid)  # type: ignore[assignment]
        except OSError:  # it has just ended
            continue
    return spent


def descendants(pid: int) -> list[int]:
    """The processes that come from one; by their parents, for not every kernel lists children."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    found = [pid]
    for one in found:
        found += parents.get(one, [])
    return found


def wait(driver: Any, script: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not driver.execute_script(script):
        if time.monotonic() > end:
            sys.exit(f"the page never came to: {script}")
        time.sleep(0.1)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
