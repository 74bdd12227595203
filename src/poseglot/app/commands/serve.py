"""`poseglot demo` and `poseglot serve`: the web page, and the same server without a browser."""

from __future__ import annotations

import argparse
import os
import webbrowser
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from poseglot.app.commands.register import AddCommand
from poseglot.errors import PoseglotError

DEMO = Path("runs/demo")


def add(command: AddCommand) -> None:
    demo = command("demo", run_demo, "the web page: a skeleton moves, and the model says what it sees and why")
    demo.add_argument(
        "--run", type=Path, action="append", metavar="RUN", help="a run's folder; twice to compare two (runs/demo)"
    )
    demo.add_argument("--no-browser", action="store_true", help="do not open a browser")
    _common(demo)
    serve = command("serve", run_serve, "the same server without a browser: POST /predict, described by /openapi.json")
    serve.add_argument("run", type=Path, nargs="+", help="runs' folders, or recognizers' files; the first is the default")
    _common(serve)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--host", default="127.0.0.1", help="where to listen; other than this machine only with a token (127.0.0.1)"
    )
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (8000)")
    parser.add_argument(
        "--token",
        help="that requests must know; also by the environment variable POSEGLOT_TOKEN, where no list of processes shows it",
    )
    parser.add_argument("--device", help="cpu, cuda, ...; by default a GPU if there is one")
    parser.add_argument("--rate", type=float, default=10.0, help="requests a second of one client; 0 for any number (10)")
    parser.add_argument("--max-bytes", dest="body", type=int, default=8 * 2**20, help="of a request (8 MiB)")
    parser.add_argument("--max-frames", dest="frames", type=int, default=3000, help="of a clip (3000)")
    parser.add_argument("--max-people", dest="people", type=int, default=8, help="of a clip (8)")
    parser.add_argument(
        "--timeout", dest="seconds", type=float, default=20.0, help="seconds for a request to come in, and for its answer (20)"
    )
    parser.add_argument("--at-once", type=int, default=2, help="how many clips are computed at the same time (2)")


def run_demo(parsed: argparse.Namespace) -> None:
    runs = parsed.run or [DEMO]
    if parsed.run is None and not DEMO.exists():
        raise PoseglotError(
            f"there is no {DEMO} here. `make demo` trains a small model in minutes and writes it there; or name a run of yours: "
            "poseglot demo --run RUN."
        )
    _serve(parsed, runs, browser=not parsed.no_browser)


def run_serve(parsed: argparse.Namespace) -> None:
    _serve(parsed, parsed.run, browser=False)


def _serve(parsed: argparse.Namespace, runs: list[Path], *, browser: bool) -> None:
    try:
        from poseglot.app.web.limits import Limits
        from poseglot.app.web.running import is_loopback, load_models, serve
    except ImportError as error:
        raise PoseglotError(
            f"the web page needs the package {(error.name or '').replace('_', '-')!r}, which is not installed. Install it: "
            "pip install 'poseglot[web]'"
        ) from error
    token = parsed.token or os.environ.get("POSEGLOT_TOKEN") or None
    limits = Limits(**{field.name: getattr(parsed, field.name) for field in fields(Limits) if hasattr(parsed, field.name)})
    if not is_loopback(parsed.host) and not token:
        raise PoseglotError(
            f"{parsed.host} can be reached from other machines, so a token is needed: --token TOKEN, or the environment variable "
            "POSEGLOT_TOKEN. Without one, serve on 127.0.0.1."
        )

    def ready(address: str) -> None:
        print(f"{', '.join(model.id for model in models)} at {address}", end=" ", flush=True)
        print("(stop it by Ctrl-C)", flush=True)
        if browser:
            # Behind the #, a token stays in the browser.
            webbrowser.open(address + (f"#token={token}" if token else ""))

    models = load_models(runs, limits=limits, device=parsed.device)
    with suppress(KeyboardInterrupt):  # that is how it is meant to end
        serve(models, limits=limits, host=parsed.host, port=parsed.port, token=token, ready=ready)
