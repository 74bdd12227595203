"""Compiling the kernels: what is found in the cache is used, and whatever goes wrong, torch does the work."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from poseglot.kernels import native
from poseglot.models.encoders import create_encoder
from poseglot.testing import random_clips


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What is remembered of compiling here must not reach other tests."""
    if reason := native.unavailable_reason(torch.float32):
        pytest.skip(f"no kernels: {reason}")
    yield
    forget()


def forget() -> None:
    native.library.cache_clear()
    native.unavailable_reason.cache_clear()


def answer() -> torch.Tensor:
    torch.manual_seed(0)
    encoder = create_encoder("ctr-gcn", "kinect20", base_channels=16).eval()
    with torch.no_grad():
        features: torch.Tensor = encoder(random_clips(2, 1, 8, "kinect20"))
    return features


def program(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def reason_with(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    """Why there are no kernels in this environment; features are those with kernels all the same."""
    wanted = answer()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    forget()
    reason = native.unavailable_reason(torch.float32)
    assert reason is not None
    torch.testing.assert_close(answer() / wanted.abs().max(), wanted / wanted.abs().max(), rtol=0, atol=1e-5)
    return reason


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "no C++ compiler" in reason_with(monkeypatch, PATH=str(tmp_path), CXX="")


def test_with_a_compiler_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = program(tmp_path / "bin", "c++", "echo cannot do this >&2; exit 3")
    reason = reason_with(monkeypatch, CXX=str(compiler), POSEGLOT_CACHE=str(tmp_path / "cache"))
    assert "cannot do this" in reason
    assert not list((tmp_path / "cache").glob("*.so"))


def test_with_a_compiler_that_writes_nonsense(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    compiler = program(
        tmp_path / "bin", "c++", 'for last; do :; done; case "$1" in --version) ;; *) echo nonsense > "$last";; esac'
    )
    assert "could not be" in reason_with(monkeypatch, CXX=str(compiler), POSEGLOT_CACHE=str(tmp_path / "cache"))


def test_with_a_cache_that_others_may_write_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRWXU | stat.S_IWOTH)
    assert "writable by others" in reason_with(monkeypatch, POSEGLOT_CACHE=str(tmp_path))


def test_with_a_cache_that_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "could not be compiled" in reason_with(monkeypatch, POSEGLOT_CACHE=str(tmp_path / "file"))


def test_what_was_compiled_is_used_again_and_a_new_source_is_compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    real = next(path for name in ("c++", "g++", "clang++") if (path := _which(name)))
    compiler = program(tmp_path / "bin", "c++", f'case "$1" in --version) ;; *) echo x >> {calls};; esac; exec {real} "$@"')
    monkeypatch.setenv("CXX", str(compiler))
    monkeypatch.setenv("POSEGLOT_CACHE", str(tmp_path / "cache"))
    source = tmp_path / "channels_last.cpp"
    source.write_text('extern "C" int widest() { return 16; }\n')
    monkeypatch.setattr(native, "SOURCE", source)
    for wanted in (1, 1, 2):
        forget()
        if wanted == 2:
            source.write_text('extern "C" int widest() { return 32; }\n')
        assert native.library(torch.float32).widest() == 16 * wanted
        assert calls.read_text().count("x") == wanted
    assert len(list((tmp_path / "cache").glob("channels-last-float-*.so"))) == 2


def test_a_library_that_is_damaged_is_compiled_again_and_one_of_others_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("POSEGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(native, "SOURCE", tmp_path / "channels_last.cpp")
    native.SOURCE.write_text('extern "C" int widest() { return 16; }\n')
    forget()
    native.library(torch.float32)
    (compiled,) = (tmp_path / "cache").glob("*.so")
    whole = compiled.read_bytes()
    for damaged in (b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        compiled.unlink()
        compiled.write_bytes(damaged)
        forget()
        native.library(torch.float32)
        assert compiled.read_bytes() == whole
    compiled.chmod(0o777)
    forget()
    assert "writable by others" in (native.unavailable_reason(torch.float32) or "")


def test_who_wants_what_is_being_compiled_waits_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Threads stand for processes: every call opens the lock anew."""
    calls = tmp_path / "calls"
    real = next(path for name in ("c++", "g++", "clang++") if (path := _which(name)))
    slow = f'case "$1" in --version) ;; *) echo x >> {calls}; sleep 0.3;; esac; exec {real} "$@"'
    monkeypatch.setenv("CXX", str(program(tmp_path / "bin", "c++", slow)))
    monkeypatch.setenv("POSEGLOT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(native, "SOURCE", tmp_path / "channels_last.cpp")
    native.SOURCE.write_text('extern "C" int widest() { return 16; }\n')
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(native.library.__wrapped__, 3 * [torch.float32]))
    assert [each.widest() for each in found] == [16, 16, 16]
    assert calls.read_text().count("x") == 1


def _which(name: str) -> Path | None:
    return next((path for folder in os.get_exec_path() if (path := Path(folder) / name).exists()), None)


def test_nothing_is_compiled_at_import() -> None:
    code = (
        "import poseglot.models.fuse, poseglot.models.encoders, sys;"
        "from poseglot.kernels import native;"
        "sys.exit(native.library.cache_info().currsize)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
