"""`poseglot browser-page`: a folder with a page that recognises actions in the browser alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from poseglot.app.commands.register import AddCommand


def add(command: AddCommand) -> None:
    page = command(
        "browser-page", run, "write a page that recognises in the browser alone: camera, videos and clips stay there"
    )
    page.add_argument(
        "run", type=Path, help="a run's folder, a recognizer's .safetensors file, or a name that `poseglot predict` takes"
    )
    page.add_argument("--out", type=Path, required=True, help="the folder to write; any web server serves it")
    page.add_argument(
        "--node-modules",
        type=Path,
        metavar="FOLDER",
        help="copy the libraries from here; else the page loads them from jsdelivr.net",
    )
    page.add_argument(
        "--pose-model",
        type=Path,
        metavar="FILE.task",
        help="MediaPipe's pose landmarker; without it there is no camera and no video",
    )
    page.add_argument("--window", type=float, default=2.0, metavar="S", help="seconds that are recognised at once (2.0)")
    page.add_argument("--stride", type=float, default=0.25, metavar="S", help="seconds from result to result (0.25)")


def run(parsed: argparse.Namespace) -> None:
    from poseglot.app.browser_page import write_browser_page

    difference = write_browser_page(
        parsed.run,
        parsed.out,
        node_modules=parsed.node_modules,
        pose_model=parsed.pose_model,
        window=parsed.window,
        stride=parsed.stride,
    )
    print(f"{parsed.out}: a page for any web server; probabilities equal torch's to {difference:.0e}")
    print(f"to see it: python -m http.server --bind 127.0.0.1 --directory {parsed.out}")
