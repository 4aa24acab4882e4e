"""Sessions in the store of a run."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ujson

from pyruntime import Bot, BotError, Context, session
from pyruntime.testing import FakeBotApi
from runner_c import MemoryStorage, Store, by_user, open_store, retry, run

PATIENCE_S = 30.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store in a file."""
    opened = open_store(f"sqlite:{tmp_path / 'bot.db'}")
    yield opened
    opened.close()


def values(store: Store, *keys: str) -> list[Any]:
    """Return what is stored for keys, decoded."""
    found = store.load(keys)
    return [ujson.loads(found[key].value) if key in found else None for key in keys]


def passing(ctx: Context, next: Callable[[], Any]) -> None:
    """Do nothing, and so push what comes next down from the head of the stack."""
    next()


@pytest.mark.parametrize("is_deep", [False, True], ids=["head", "deep"])
def test_no_write_is_lost_and_a_session_is_there_after_a_restart(
    live: Bot, server: FakeBotApi, store: Store, is_deep: bool
) -> None:
    if is_deep:
        live.use(passing)
    live.use(session(lambda: {"n": 0}, key=by_user))
    done = threading.Semaphore(0)

    @live.on("message:text")
    def count(ctx: Context) -> None:
        before = ctx.session["n"]
        threading.Event().wait(0.001)
        ctx.session["n"] = before + 1
        done.release()

    chance = random.Random(7)
    for life in (1, 2):
        updates = [
            {
                "message": {
                    "message_id": 1,
                    "date": 1,
                    "text": "x",
                    "chat": {"id": -chance.randint(1, 40), "type": "supergroup"},
                    "from": {"id": chance.randint(1, 5), "is_bot": False, "first_name": "U"},
                }
            }
            for _ in range(200)
        ]
        server.push_many(updates)
        with run(live, concurrency=32, store=store):
            for _ in range(200):
                assert done.acquire(timeout=PATIENCE_S)
        assert sum(value["n"] for value in values(store, *map(str, range(1, 6)))) == 200 * life


def test_a_session_is_written_only_if_it_changed_and_not_if_the_handler_failed(
    live: Bot, server: FakeBotApi, store: Store
) -> None:
    live.use(session(dict))
    errors: list[str] = []

    @live.on("message:text")
    def handle(ctx: Context) -> None:
        if ctx.text == "look":
            ctx.reply(str(ctx.session))
            return
        if ctx.text == "delete":
            ctx.session = None
        elif ctx.text == "set":
            ctx.session["things"] = {1, 2}
            return
        else:
            ctx.session["text"] = ctx.text
        if ctx.text == "fail":
            raise KeyError("no")
        ctx.reply("done")

    @live.catch
    def caught(error: BotError) -> None:
        errors.append(str(error.error))
        error.ctx.reply("failed")

    chat = server.chat(1)
    with run(live, store=store):

        def say(text: str) -> Any:
            chat.send(text)
            return chat.reply(timeout_s=PATIENCE_S)["text"]

        assert [say(text) for text in ("look", "one", "look", "look", "fail", "set", "look")] == [
            "{}",
            "done",
            "{'text': 'one'}",
            "{'text': 'one'}",
            "failed",
            "failed",
            "{'text': 'one'}",
        ]
    assert store.load(["1"])["1"] == (1, b'{"text":"one"}')
    assert errors[0] == "'no'"
    assert "ctx.session" in errors[1]
    assert "JSON has no sets" in errors[1]
    with run(live, store=store):
        assert say("delete") == "done"
        assert say("look") == "{}"
    assert values(store, "1") == [None]


def test_several_sessions_and_one_with_a_storage_of_its_own_keep_out_of_each_others_way(
    live: Bot, server: FakeBotApi, store: Store
) -> None:
    own = MemoryStorage()
    live.use(session(dict))
    live.use(session(dict, key=by_user, name="profile"))
    live.use(session(dict, storage=own, name="cache"))

    @live.on("message:text")
    def handle(ctx: Context) -> None:
        ctx.session["a"] = 1
        ctx.profile["b"] = 2
        ctx.cache["c"] = 3
        ctx.reply("done")

    chat = server.chat(1)
    with run(live, store=store):
        chat.send("x")
        chat.reply(timeout_s=PATIENCE_S)
    assert values(store, "1", "profile:1", "cache:1") == [{"a": 1}, {"b": 2}, None]
    assert ujson.loads(own.read("cache:1") or b"") == {"c": 3}


@pytest.mark.parametrize("is_deep", [False, True], ids=["head", "deep"])
def test_an_attempt_that_failed_leaves_no_trace_and_its_session_is_held_until_the_last(
    live: Bot, server: FakeBotApi, store: Store, monkeypatch: pytest.MonkeyPatch, is_deep: bool
) -> None:
    monkeypatch.setattr(retry, "FIRST_RETRY_S", 0.05)
    if is_deep:
        live.use(passing)
    live.use(session(lambda: {"seen": []}, key=lambda ctx: "everybody"))

    is_begun = threading.Event()

    @live.on("message:text")
    def handle(ctx: Context) -> None:
        ctx.session["seen"].append([ctx.text, ctx.attempt])
        is_begun.set()
        if ctx.text == "twice" and ctx.attempt < 3:
            raise ValueError("not yet")
        ctx.reply("done")

    first, second = server.chat(1), server.chat(2)
    with run(live, store=store, max_attempts=3):
        first.send("twice")
        assert is_begun.wait(PATIENCE_S)
        second.send("later")
        first.reply(timeout_s=PATIENCE_S)
        second.reply(timeout_s=PATIENCE_S)
    assert values(store, "everybody") == [{"seen": [["twice", 3], ["later", 1]]}]
