"""The Triton kernels where no GPU is: right in Triton's interpreter, compiled for two generations of GPUs, and left alone on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from poseglot.kernels import topology
from tests.conftest import ROOT

triton = pytest.importorskip("triton")


@pytest.fixture(scope="module")
def interpreted() -> Any:
    environment = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    script = Path(__file__).with_name("in_interpreter.py")
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_outputs_and_gradients_are_those_of_torch(interpreted: Any) -> None:
    for case in interpreted["cases"]:
        assert len(case) == 6
        assert max(case) < 1e-5


def test_a_graph_unit_is_the_same_by_either_way(interpreted: Any) -> None:
    assert len(interpreted["unit"]) > 10
    assert 0 < max(interpreted["unit"]) < 1e-3


def test_the_same_call_gives_the_same_bits(interpreted: Any) -> None:
    assert interpreted["same bits"] is True


@pytest.mark.parametrize("capability", [pytest.param(80, marks=pytest.mark.slow), 90])
@pytest.mark.parametrize("name", ["forward_kernel", "back_values_kernel", "back_relation_kernel"])
@pytest.mark.parametrize("number", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
def test_every_kernel_compiles_for_a_gpu(
    name: str, capability: int, number: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triton.backends.compiler import GPUTarget

    from poseglot.kernels import topology_triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    kernel = getattr(topology_triton, name)
    constants = {"V": 25, "VP": 32, "R": 8, "RP": 16, "S": 3, "BT": 16, "BC": 16, "PRECISION": "ieee"}
    single = ("relation", "weight", "bias", "adjacency", "d_weight", "d_bias", "d_adjacency")
    signature = {
        argument: "constexpr"
        if argument in constants
        else "i32"
        if argument in ("C", "T")
        else "*fp32"
        if argument in single
        else f"*{number}"
        for argument in kernel.arg_names
    }
    taken = {name: value for name, value in constants.items() if name in kernel.arg_names}
    source = triton.compiler.ASTSource(fn=kernel, signature=signature, constexprs=taken)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32))
    assert len(made.asm["cubin"]) > 1000
    assert made.metadata.shared <= 48 * 1024, "more than every such GPU gives without asking"


def test_unsupported_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    value = torch.zeros(1, 8, 3, 20, 4)
    assert "not on an NVIDIA GPU" in str(topology.unsupported_reason(value))
    there: Any = SimpleNamespace(device=torch.device("cuda"), dtype=torch.float32, shape=value.shape)
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    assert topology.unsupported_reason(there) is None
    assert "float64" in str(topology.unsupported_reason(SimpleNamespace(**{**vars(there), "dtype": torch.float64})))  # type: ignore[arg-type]
    assert "65 joints" in str(topology.unsupported_reason(SimpleNamespace(**{**vars(there), "shape": (1, 8, 3, 65, 4)})))  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (6, 1))
    assert "generation" in str(topology.unsupported_reason(there))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(topology, "_missing_triton", lambda: "Triton is not installed")
    assert "not installed" in str(topology.unsupported_reason(there))
    monkeypatch.setenv("POSEGLOT_KERNELS", "off")
    assert "off" in str(topology.unsupported_reason(there))


def test_triton_is_not_loaded_without_a_gpu() -> None:
    code = "import sys, poseglot.models.fuse, poseglot.models.encoders; sys.exit('triton' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
