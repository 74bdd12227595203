"""Takes a picture of the web page, as in docs/pictures, of a server that `poseglot serve` has started.

python scripts/page_picture.py http://127.0.0.1:8000 docs/pictures/page.png "march in place" --frame 24 --part "hand and arm"

Needs Chromium and its driver (Debian: `chromium`, `chromium-driver`), and selenium.
"""

from __future__ import annotations

import argparse
import base64
import shutil
import sys
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

# WebGL computed by the processor, and a mouse, which a browser without a window does not have.
FLAGS = (
    "--headless=new", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--hide-scrollbars",
    "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
)  # fmt: skip
SHOWN = """return document.querySelector("article") && !document.body.classList.contains("busy")
 && !document.body.textContent.includes("being encoded")"""
CHOOSE = """const [example] = arguments;
[...document.querySelectorAll("#examples button")].find((one) => one.textContent === example).click();"""
# A part's button is reached by its heading; it lights the part as a mouse over it does.
POSE = """const [frame, part] = arguments;
poseglot.player.set(false);
poseglot.player.go(frame - 1);
document.activeElement.blur();
const button = [...document.querySelectorAll(".level")].find((one) => one.querySelector(".head span").textContent === part);
button?.dispatchEvent(new PointerEvent("pointerenter"));
button?.setAttribute("aria-pressed", "true");"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", help="of the server")
    parser.add_argument("out", type=Path, help="the picture, a PNG")
    parser.add_argument("example", help="what the example's button says")
    parser.add_argument("--frame", type=int, default=1, help="the frame to show, from 1")
    parser.add_argument("--part", default="", help="the heading of the part to highlight")
    parser.add_argument("--size", type=int, nargs=2, default=[1360, 1060], help="of the window, in pixels (1360 1060)")
    parsed = parser.parse_args()
    # Both are named, since selenium asks the network for what is not.
    chromium, chromedriver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    if not (chromium and chromedriver):
        sys.exit("there is no Chromium with its driver here (apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    try:
        wait = WebDriverWait(driver, 120)
        metrics = {"width": parsed.size[0], "height": parsed.size[1], "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        driver.get(f"{parsed.address}?draw=3d")
        wait.until(lambda _: driver.execute_script(SHOWN))
        driver.execute_script(CHOOSE, parsed.example)
        wait.until(lambda _: driver.execute_script(SHOWN))
        driver.execute_script(POSE, parsed.frame, parsed.part)
        driver.execute_async_script("setTimeout(arguments[0], 600)")  # the bars' transition
        parsed.out.write_bytes(base64.b64decode(driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})["data"]))
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
