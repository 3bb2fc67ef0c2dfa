"""Plugins that are described well and then behave in every way a host must bear."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rosey_core.api import (
    CommandCall,
    Context,
    Manifest,
    NormalizedEvent,
    NotReady,
    Secret,
    Settings,
    Verdict,
    command,
    hookimpl,
    query,
)


class Plain:
    """What they share: no settings."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings


class Raiser(Plain):
    """Raises at every chance."""

    manifest = Manifest(name="raiser", summary="Raises.", asks=("chat.read", "chat.send"))

    @hookimpl
    async def on_chat_message(self) -> None:
        """Raise."""
        raise ValueError("raiser raised")

    @command("raise")
    async def fail(self, ctx: Context, call: CommandCall) -> str:
        """Raises."""
        raise ValueError(f"raised for {call.user}")


class Hanger(Plain):
    """Never comes back."""

    manifest = Manifest(name="hanger", summary="Hangs.", asks=("chat.read", "chat.send"))

    @hookimpl
    async def on_chat_message(self) -> None:
        """Hang."""
        await asyncio.Event().wait()

    @command("hang")
    async def hang(self, ctx: Context, call: CommandCall) -> str:
        """Hangs."""
        await asyncio.Event().wait()
        return "never"


class Blocker(Plain):
    """Blocks the loop for half a second when told."""

    manifest = Manifest(name="blocker", summary="Blocks.", asks=("chat.read",))

    @hookimpl
    def on_chat_message(self, event: NormalizedEvent) -> None:
        """Block."""
        if event.data.text.startswith("block"):
            time.sleep(0.5 if event.data.text == "block" else 3600)


class Quitter(Plain):
    """Wants to end the program, in a hook and in a task."""

    manifest = Manifest(name="quitter", summary="Quits.", asks=("chat.read",))

    @hookimpl
    async def on_chat_message(self) -> None:
        """Quit twice."""
        asyncio.get_running_loop().create_task(self._quit())
        await asyncio.sleep(0)
        sys.exit(1)

    async def _quit(self) -> None:
        sys.exit(2)


class Mean(Plain):
    """Raises what no plugin should, by the name that a line gives."""

    manifest = Manifest(name="mean", summary="Is mean.", asks=("chat.read", "chat.send"))

    @hookimpl
    async def on_chat_message(self, event: NormalizedEvent) -> object:
        """Raise it here and in a task; or return what nobody awaits."""
        error = {
            "interrupt": KeyboardInterrupt,
            "cancel": asyncio.CancelledError,
            "generator": GeneratorExit,
            "exit": SystemExit,
        }.get(event.data.text)
        if error is None:
            return 5
        asyncio.get_running_loop().create_task(self._raise(error))
        await asyncio.sleep(0)
        raise error

    async def _raise(self, error: type[BaseException]) -> None:
        raise error

    @command("mean")
    async def mean(self, ctx: Context, call: CommandCall) -> str:
        """Raises an interrupt."""
        raise KeyboardInterrupt


class Stubborn(Plain):
    """Swallows every cancellation: in a hook, a command, a task, as a judge, and when it is stopped."""

    manifest = Manifest(name="stubborn", summary="Never ends.", asks=("chat.read", "chat.send", "judge"))

    async def _never(self) -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    @hookimpl
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Never come back."""
        if event.data.text == "hook":
            ctx.spawn(self._never())
            await self._never()

    @hookimpl
    async def judge(self, event: NormalizedEvent) -> None:
        """Never answer."""
        if event.data.text == "judge":
            await self._never()

    @command("stubborn")
    async def stubborn(self, ctx: Context, call: CommandCall) -> str:
        """Never answers."""
        await self._never()
        return "never"

    @hookimpl
    async def stop(self) -> None:
        """Never stop."""
        await self._never()


class Recorder(Plain):
    """Writes down everything it hears, a JSON line each."""

    manifest = Manifest(
        name="recorder",
        summary="Records.",
        asks=("chat.read", "chat.pm", "user.read", "media.read", "poll.read", "channel.read", "channel.state"),
    )

    @hookimpl
    def on_events(self, ctx: Context, events: Sequence[NormalizedEvent]) -> None:
        """Write a list of events."""
        with (ctx.directory / "heard.jsonl").open("a", encoding="utf-8") as file:
            for event in events:
                data = event.data
                row = {
                    "seq": event.seq,
                    "type": event.event_type,
                    "text": getattr(data, "text", ""),
                    "count": getattr(data, "count", 0),
                    "time": time.time(),
                }
                file.write(json.dumps(row) + "\n")

    @command("list")
    async def list(self, ctx: Context, call: CommandCall) -> str:
        """Tells how long the playlist is."""
        return f"{len(ctx.channel.playlist)} items"


class Censor(Plain):
    """A judge that stops lines with `spam` in them."""

    manifest = Manifest(name="censor", summary="Stops spam.", asks=("chat.read", "judge"))

    @hookimpl
    def judge(self, event: NormalizedEvent) -> Verdict | None:
        """Stop spam."""
        return Verdict(stop=True, reason="spam") if "spam" in event.data.text else None


class SleepyJudge(Plain):
    """A judge that never answers."""

    manifest = Manifest(name="sleepy", summary="Sleeps.", asks=("chat.read", "judge"))

    @hookimpl
    async def judge(self) -> Verdict | None:
        """Sleep."""
        await asyncio.Event().wait()
        return None


class ParrotSettings(Settings):
    """How often it repeats."""

    times: int = 1


class Parrot:
    """Answers `flood` with many lines, and private messages with private messages."""

    manifest = Manifest(
        name="parrot",
        summary="Repeats.",
        settings=ParrotSettings,
        asks=("chat.read", "chat.send", "chat.pm", "chat.pm.send"),
    )

    def __init__(self, settings: ParrotSettings) -> None:
        self.times = settings.times

    @hookimpl
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Repeat."""
        if event.data.text == "flood":
            receipts = [ctx.say(f"line {n}") for n in range(1, self.times + 1)]
            outcomes = [(await receipt.outcome()).state for receipt in receipts]
            (ctx.directory / "outcomes.json").write_text(json.dumps(outcomes))

    @hookimpl
    async def on_chat_pm(self, ctx: Context, event: NormalizedEvent) -> None:
        """Answer a private message, and write down what became of the answer."""
        outcome = await ctx.pm(event.data.username, f"you said {event.data.text}").outcome()
        with (ctx.directory / "pms.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"to": event.data.username, "state": outcome.state}) + "\n")


class Asker(Plain):
    """Has queries, and asks its own."""

    manifest = Manifest(name="asker", summary="Asks.", asks=("chat.read", "chat.send", "query:asker"), shared=False)

    @query("add")
    async def add(self, ctx: Context, a: int, b: int = 1) -> int:
        """Add two numbers."""
        return a + b

    @query("fail")
    async def fail(self, ctx: Context) -> int:
        """Fail."""
        raise RuntimeError("no")

    @command("add", usage="A B", aliases=("plus",))
    async def add_them(self, ctx: Context, call: CommandCall) -> str:
        """Adds two numbers."""
        return str(await ctx.query("asker", "add", a=int(call.args[0]), b=int(call.args[1])))

    @command("publish")
    async def tell(self, ctx: Context, call: CommandCall) -> str:
        """Publishes an event of its own."""
        ctx.publish("told", {"by": call.user})
        return "published"


class KeeperSettings(Settings):
    """Where its secret is found."""

    token: Secret


class SecretKeeper:
    """Has a secret, and is careless with it."""

    manifest = Manifest(
        name="keeper", summary="Keeps a secret.", settings=KeeperSettings, asks=("chat.read", "chat.send")
    )

    def __init__(self, settings: KeeperSettings) -> None:
        self.settings = settings

    @command("leak")
    async def leak(self, ctx: Context, call: CommandCall) -> str:
        """Logs its secret and raises it."""
        token = ctx.secret(self.settings.token)
        ctx.log.warning("keeper.careless", token=token, nested={"token": [token]})
        raise RuntimeError(f"could not log in with {token}")


class Notary(Plain):
    """Durable: notes each line in a file, and says so."""

    manifest = Manifest(
        name="notary", summary="Notes lines.", asks=("chat.read", "chat.send", "user.read"), durable=True
    )

    @hookimpl(history=True)
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Note it; a line may tell it to fail, to die or to take its time."""
        marks, text = ctx.directory, event.data.text
        if (marks / "broken").exists():
            raise ValueError("broken")
        if text == "hang":
            await asyncio.sleep(3_600)
        with (marks / "lines").open("a") as file:
            file.write(f"{text}\n")
        if text.startswith("note "):
            outcome = await ctx.say(f"noted {text[5:]}").outcome()
            with (marks / "outcomes").open("a") as file:
                file.write(f"{text} {outcome.state}\n")
        if text == "note and die" and not (marks / "died").exists():
            (marks / "died").touch()
            os.kill(os.getppid() if "rosey_core.host.worker" in sys.orig_argv else os.getpid(), signal.SIGKILL)
            await asyncio.sleep(60)  # a worker goes with its daemon


class Careless(Plain):
    """Keeps everything, and can't forget."""

    manifest = Manifest(name="careless", summary="Keeps lines.", asks=("chat.read", "store"), keeps="everything")

    @hookimpl
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Keep a line."""
        with (ctx.directory / "everything").open("a") as file:
            file.write(f"{event.data.username} {event.data.text}\n")
        await ctx.store.put(f"last of {event.data.username}", event.data.text)


class Lister(Plain):
    """Durable, and acts in a list of events."""

    manifest = Manifest(name="lister", summary="Acts in lists.", asks=("chat.read", "chat.send"), durable=True)

    @hookimpl
    async def on_events(self, ctx: Context, events: Sequence[NormalizedEvent]) -> None:
        """Say of each line what becomes of an answer to it."""
        for event in events:
            if event.event_type == "chat.message" and event.data.text.startswith("list "):
                refused = await ctx.say("without a cause").outcome()
                view = ctx.about(event)
                view.say(f"{refused.state} {'about(event)' in refused.reason}")
                if event.data.text == "list twice":
                    ctx.about(event).say("one")
                    ctx.about(event).say("two")


class SlowStart(Plain):
    """Is not ready at first."""

    manifest = Manifest(name="slowstart", summary="Starts late.", asks=("chat.read",))
    tries = 0

    @hookimpl
    async def start(self, ctx: Context) -> None:
        """Be ready at the second try."""
        self.tries += 1
        if self.tries < 2:
            raise NotReady("the disk is not there yet", retry=0.05)


class BadStart(Plain):
    """Fails to start."""

    manifest = Manifest(name="badstart", summary="Fails to start.", asks=("chat.read",))

    @hookimpl
    def start(self, ctx: Any) -> None:
        """Fail."""
        raise OSError("no space left on device")


class Witness:
    """Tells what the state is, and for how long the loop stood still because of rosey itself."""

    manifest = Manifest(
        name="witness", summary="Witnesses.", asks=("chat.read", "chat.send", "media.read", "channel.state")
    )

    def __init__(self, settings: Settings) -> None:
        self.worst = 0.0
        self.queued = 0

    @hookimpl
    def start(self, ctx: Context) -> None:
        """Begin to watch."""
        ctx.spawn(self._watch())

    async def _watch(self) -> None:
        """Find the longest time in which the loop did not come back and its thread was at work.

        A busy machine may stop the whole process; what the process then did not compute is not its fault.
        """
        while True:
            before, worked = time.monotonic(), time.thread_time()
            await asyncio.sleep(0.005)
            late = time.monotonic() - before - 0.005
            self.worst = max(self.worst, min(late, time.thread_time() - worked))

    @hookimpl
    def on_media_queued(self) -> None:
        """Count."""
        self.queued += 1

    @command("witness")
    async def tell(self, ctx: Context, call: CommandCall) -> str:
        """Writes down what there is."""
        playlist = ctx.channel.playlist
        told = {"uids": [item.uid for item in playlist], "queued": self.queued, "worst": self.worst}
        (ctx.directory / f"{call.rest}.json").write_text(json.dumps(told))
        self.worst, self.queued = 0.0, 0
        return f"written {call.rest}"


class LateShared(Plain):
    """Shared by all channels, ready at the second try; notes what is called."""

    manifest = Manifest(name="lateshared", summary="Starts late.", asks=("chat.read",), shared=True)

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.calls: list[str] = []

    @hookimpl
    def start(self) -> None:
        """Be ready at the second try."""
        self.calls.append("start")
        if self.calls == ["start"]:
            raise NotReady("not yet", retry=0.05)

    @hookimpl
    def on_chat_message(self, event: NormalizedEvent) -> None:
        """Note it."""
        self.calls.append(event.data.text)


class Threads(Plain):
    """Takes every thread there is, and one of its own that is no daemon's; none of them ends."""

    manifest = Manifest(name="threads", summary="Takes threads.", asks=("chat.read",))

    @hookimpl
    def start(self, ctx: Context) -> None:
        """Take them."""
        threading.Thread(target=threading.Event().wait, name="of a plugin").start()
        for _ in range(100):
            ctx.spawn(asyncio.to_thread(threading.Event().wait))


class Verbose(Plain):
    """Has a lot to tell of itself."""

    manifest = Manifest(name="verbose", summary="blah " * 100_000, asks=("chat.read",))


if TYPE_CHECKING:
    from decimal import Decimal


class Typed(Plain):
    """A query whose argument has a type that is not there when it runs; that of `ctx` is nobody's business."""

    manifest = Manifest(name="typed", summary="Is typed.", asks=("chat.read",))

    @query("fine")
    async def fine(self, ctx: NotEvenThere, a: int) -> int:  # type: ignore[name-defined]  # noqa: F821  the point
        """Has a type that is there."""
        return a

    @query("half")
    async def half(self, ctx: Context, amount: Decimal) -> str:
        """Has one that is not."""
        return str(amount)


class BadVerdict(Plain):
    """A judge whose verdicts can't be told to anybody."""

    manifest = Manifest(name="badverdict", summary="Judges badly.", asks=("chat.read", "judge"))

    @hookimpl
    def judge(self, event: NormalizedEvent) -> Any:
        """Say what can't be said."""
        return {"object": Verdict(stop=True, reason=object()), "half": Verdict(stop=True, reason="\ud83d")}.get(  # type: ignore[arg-type]  # the point
            event.data.text, True
        )


class Hog(Plain):
    """Takes a gigabyte of memory when told."""

    manifest = Manifest(name="hog", summary="Takes memory.", asks=("chat.read", "chat.send"))

    @command("hog")
    async def hog(self, ctx: Context, call: CommandCall) -> str:
        """Takes it."""
        return f"{len(bytearray(1 << 30))}"


class Counter(Plain):
    """Counts everybody's lines in the store."""

    manifest = Manifest(name="counter", summary="Counts.", asks=("chat.read", "chat.send", "store"))

    @hookimpl
    async def on_chat_message(self, ctx: Context, event: NormalizedEvent) -> None:
        """Count it."""
        await ctx.store.add(f"lines:{event.data.username}")

    @command("count", usage="NAME")
    async def count(self, ctx: Context, call: CommandCall) -> str:
        """Tells how many lines somebody said."""
        return f"{call.rest}: {await ctx.store.get(f'lines:{call.rest}', int, 0)}"

    @command("many")
    async def many(self, ctx: Context, call: CommandCall) -> str:
        """Counts many times at once, and tells what there is."""
        await asyncio.gather(*(ctx.store.shared.add("many") for _ in range(200)))
        keys = await ctx.store.list("lines:")
        return f"{await ctx.store.shared.get('many')}, and here {', '.join(keys)}"


class Sneak(Plain):
    """Uses the store, and did not ask for that."""

    manifest = Manifest(name="sneak", summary="Sneaks.", asks=("chat.read", "chat.send"))

    @command("sneak")
    async def sneak(self, ctx: Context, call: CommandCall) -> str:
        """Tries it."""
        return str(await ctx.store.get("lines:alice"))
