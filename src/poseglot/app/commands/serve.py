"""`poseglot demo` and `poseglot serve`: the web page, and its server without a browser."""

from __future__ import annotations

import argparse
import os
import webbrowser
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from poseglot.app.commands.register import AddCommand, missing_package
from poseglot.errors import FileError, MissingPackageError, SettingError

DEMO = Path("runs/demo")


def add(command: AddCommand) -> None:
    demo = command("demo", run_demo, "open the web page: a moving skeleton, the recognised actions, and why")
    demo.add_argument(
        "run", type=Path, nargs="*", help=f"a run's folder, or as for `poseglot predict`; two are compared ({DEMO})"
    )
    demo.add_argument("--run", type=Path, action="append", default=[], dest="runs", metavar="RUN", help="the same, as a flag")
    demo.add_argument("--no-browser", action="store_true", help="do not open a browser")
    _add_server_options(demo)
    serve = command("serve", run_serve, "run the server without a browser: POST /predict, described by /openapi.json")
    serve.add_argument("run", type=Path, nargs="+", help="each as for `poseglot predict`; the first is the default")
    _add_server_options(serve)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on; others need a token (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="the port; 0 takes a free one (8000)")
    parser.add_argument(
        "--token", help="the token of requests; the environment variable POSEGLOT_TOKEN keeps it out of the list of processes"
    )
    parser.add_argument(
        "--proxy",
        action="append",
        default=[],
        dest="proxies",
        metavar="ADDRESS",
        help="a proxy before the server; its X-Forwarded-For is believed",
    )
    parser.add_argument("--device", help="cpu, cuda, ... (default: a GPU if there is one)")
    parser.add_argument("--rate", type=float, default=10.0, help="requests per second and client; 0 is unlimited (10)")
    parser.add_argument("--max-bytes", dest="body", type=int, default=8 * 2**20, help="the largest request (8 MiB)")
    parser.add_argument("--max-frames", dest="frames", type=int, default=3000, help="the longest clip (3000)")
    parser.add_argument("--max-people", dest="people", type=int, default=8, help="the most people in a clip (8)")
    parser.add_argument(
        "--timeout", dest="seconds", type=float, default=20.0, help="seconds to receive a request, and to answer it (20)"
    )
    parser.add_argument("--at-once", type=int, default=2, help="clips that are computed at the same time (2)")


def run_demo(parsed: argparse.Namespace) -> None:
    runs = [*parsed.run, *parsed.runs]
    if not runs and not DEMO.exists():
        raise FileError(
            f"there is no {DEMO}. `make demo` trains a small model there within minutes; or name a run of yours, or a packaged "
            "recognizer: poseglot demo nw-ucla."
        )
    _serve(parsed, runs or [DEMO], browser=not parsed.no_browser)


def run_serve(parsed: argparse.Namespace) -> None:
    _serve(parsed, parsed.run, browser=False)


def _serve(parsed: argparse.Namespace, runs: list[Path], *, browser: bool) -> None:
    try:
        from poseglot.app.web.limits import Limits
        from poseglot.app.web.running import is_loopback, load_services, serve
    except ImportError as error:
        raise MissingPackageError(missing_package("the web page", error, extra="web")) from error
    token = parsed.token or os.environ.get("POSEGLOT_TOKEN") or None
    limits = Limits(**{field.name: getattr(parsed, field.name) for field in fields(Limits) if hasattr(parsed, field.name)})
    if not is_loopback(parsed.host) and not token:
        raise SettingError(
            f"{parsed.host} can be reached from other machines, so a token is needed: --token TOKEN, or the environment variable "
            "POSEGLOT_TOKEN. Without one, serve on 127.0.0.1."
        )
    services = load_services(runs, limits=limits, device=parsed.device)

    def ready(address: str) -> None:
        print(f"{', '.join(service.id for service in services)} at {address} (stop it with Ctrl-C)", flush=True)
        if browser:
            # A fragment (#) is not sent to the server.
            webbrowser.open(address + (f"#token={token}" if token else ""))

    with suppress(KeyboardInterrupt):  # the usual end
        serve(services, limits=limits, host=parsed.host, port=parsed.port, token=token, proxies=parsed.proxies, ready=ready)
