"""Fixtures for all tests: the folder of recorded values and real data, and small synthetic stores."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

import pytest
import torch

from poseglot.data import synthetic
from poseglot.data.benchmarks import load_benchmark
from poseglot.data.prepare import prepare
from poseglot.data.store import PackedStore, open_store, write_store
from poseglot.skeletons.layout import load_layout

ROOT = Path(__file__).parent.parent


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`: one more than cores, since tests wait for their child processes a quarter of the time."""
    return (os.cpu_count() or 1) + 1


def pytest_make_parametrize_id(val: object) -> None:
    """Refuse values whose id would differ between two collections, or would say nothing; everything else is left to pytest.

    xdist's workers collect apart and must agree on every id. Bytes with a clock in them, as gzip's, do not.
    """
    if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()):
        raise ValueError(f"bytes as a parameter need an id, such as ids=repr for short constants: {val!r:.60}")
    if getattr(val, "__name__", "") == "<lambda>":
        raise ValueError("a lambda as a parameter needs an id")
    if isinstance(val, str) and (re.search(r"\bat 0x[0-9a-f]+", val) or tempfile.gettempdir() in val):
        raise ValueError(f"a text with a memory address or a temporary path in it needs an id: {val!r:.60}")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Use one thread: small networks gain nothing from several, which would wait for each other beside other work."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for processes that tests start
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of recorded values and real data, outside the project: `POSEGLOT_SHARED`, by default ../shared."""
    folder = Path(os.environ.get("POSEGLOT_SHARED", ROOT.parent / "shared"))
    if not folder.is_dir():
        reason = f"{folder} is not there; set POSEGLOT_SHARED to the folder with golden/ and data/"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def store_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of 120 synthetic clips like the demo set: ten people, one camera; 96 for training (people 1-8), 24 for testing."""
    benchmark = load_benchmark("demo")
    clips = synthetic.make_clips(persons=10, cameras=1, repeats=1)
    path = tmp_path_factory.mktemp("store") / "small"
    write_store(path, clips, benchmark=benchmark, layout=load_layout("kinect20"), source={"synthetic": "tests"})
    return path


@pytest.fixture(scope="session")
def few_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a third of that store, for training in tests: every person and action, 32 clips for training and 8 for testing."""
    clips = (clip for clip in synthetic.make_clips(persons=10, cameras=1, repeats=1) if (clip.subject + clip.label) % 3 == 0)
    path = tmp_path_factory.mktemp("store") / "few"
    write_store(path, clips, benchmark=load_benchmark("demo"), layout=load_layout("kinect20"), source={"synthetic": "tests"})
    return path


@pytest.fixture(scope="session")
def small_store(store_path: Path) -> PackedStore:
    """Return the store at `store_path`, opened."""
    return open_store(store_path)


@pytest.fixture(scope="session")
def real_store(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store of NW-UCLA, prepared from the real files."""
    store = tmp_path_factory.mktemp("nw-ucla") / "store"
    prepare("nw-ucla", source=shared / "data" / "nw-ucla" / "all_sqe.zip", out=store)
    return store


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small BERT with random weights and the words of the demo descriptions as vocabulary."""
    import transformers

    from poseglot.descriptions import load_descriptions, make_prompts

    folder = tmp_path_factory.mktemp("bert")
    descriptions = list(load_descriptions("demo").classes.values())
    texts = make_prompts(descriptions, prompt="synonym+parts", partition="six").texts
    words = sorted({word for text in texts for word in text.replace(",", " ").replace("-", " ").lower().split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", "-", *words]))
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(words) + 7,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=48,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(config).save_pretrained(folder)
    return folder
