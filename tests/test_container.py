"""The Dockerfile, as far as can be told without Docker: pinned, not root, and the commands it runs are those of the command line."""

from __future__ import annotations

import ast
import fnmatch
import json
import re

import pytest

from poseglot.app.cli import build_parser
from tests.conftest import ROOT


def instructions() -> list[tuple[str, str]]:
    """Return the instructions of the Dockerfile and their arguments, of continued lines as one."""
    text = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.M))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line.strip())]


def of(word: str) -> list[str]:
    return [rest for each, rest in instructions() if each == word]


def test_it_is_pinned_and_not_root() -> None:
    assert all(re.match(r"python:3\.\d+\.\d+-slim-\w+( AS \w+)?$", image) for image in of("FROM")) and len(of("FROM")) == 2
    words = [word for word, _ in instructions()]
    last = len(words) - 1 - words[::-1].index("FROM")
    assert words.index("USER") > last and of("USER") == ["poseglot"] and "--uid 10001 poseglot" in of("RUN")[-1]
    assert "--constraint constraints.txt" in of("RUN")[0] and "whl/cpu" in of("RUN")[0]


def test_the_command_is_one_of_ours() -> None:
    assert json.loads(of("ENTRYPOINT")[0]) == ["poseglot"]
    (command,) = map(json.loads, of("CMD"))
    parsed = build_parser().parse_args(command)
    assert (parsed.command_name, parsed.host, parsed.port) == ("serve", "0.0.0.0", int(of("EXPOSE")[0]))
    for line in re.findall(r"^# +docker run .* poseglot (serve .*)$", (ROOT / "Dockerfile").read_text(), re.M):
        assert build_parser().parse_args(line.split()).host == "0.0.0.0"


def test_the_health_check_asks_the_server() -> None:
    from poseglot.app.web.middleware import PUBLIC

    python, option, code = json.loads(of("HEALTHCHECK")[0].partition("CMD ")[2])
    ast.parse(code)
    assert (python, option) == ("python", "-c") and ":8000/healthz" in code and "/healthz" in PUBLIC


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [source for line in of("COPY") if not line.startswith("--from") for source in line.split()[:-1]]
    assert set(copied) == set(kept)
    for source in copied:
        assert (ROOT / source).exists()


@pytest.mark.parametrize("needed", ["pyproject.toml", "README.md", "LICENSE", "src/poseglot/recognizers/*/LICENSE"])
def test_what_the_build_reads_is_copied(needed: str) -> None:
    copied = [source for line in of("COPY") if not line.startswith("--from") for source in line.split()[:-1]]
    assert any(fnmatch.fnmatch(needed, f"{source}*") for source in copied)
