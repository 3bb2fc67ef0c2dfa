"""A plugin for rosey with nothing of rosey in it: NATS and JSON, as in docs/workers.md. `!tell TEXT` says TEXT."""

import asyncio
import json
import os
import secrets
import sys

import nats


async def main() -> None:
    with os.fdopen(int(sys.argv[-1])) as file:
        orders = json.load(file)
    name, login = orders["plugin"], orders["login"]
    session, over, numbers, lines = secrets.token_hex(8), asyncio.Event(), {}, set()
    who = {"user": login["user"], "password": login["password"], "inbox_prefix": f"_INBOX_{name}"}

    async def away(error):
        print("NATS:", error)

    bus = await nats.connect(login["url"], max_reconnect_attempts=-1, reconnect_time_wait=0.2, error_cb=away, **who)

    async def ask(way, **message):
        answer = await bus.request(f"rosey.plugins.{name}.{way}", json.dumps(message).encode(), timeout=60)
        return json.loads(answer.data)

    async def take(asked):
        way, told, result = asked.subject.split(".")[3:], json.loads(asked.data), None
        if told["session"] != session:
            return
        if way[-1] == "events" and told["number"] > numbers.get(way[1], 0):
            numbers[way[1]] = told["number"]
            lines.update(event["id"] for event in told["events"] if not event.get("metadata", {}).get("own"))
        elif way[-1] == "command":
            receipt = await ask(f"do.{way[1]}.reply.chat.send_message", text=told["rest"])
            became = receipt["result"]["state"] if receipt["ok"] else receipt["error"]["message"]
            result = f"{told['user']}: {became}, and I heard {len(lines)} lines."
        await asked.respond(json.dumps({"ok": True, "result": result}).encode())
        if way == ["control", "stop"]:
            over.set()

    for way in ("hook", "control"):
        await bus.subscribe(f"rosey.plugins.{name}.{way}.>", cb=take)
    await ask("ask.hello", session=session, api=1, pid=os.getpid())
    while os.getppid() == orders["parent"] and not over.is_set():  # noqa: ASYNC110  nothing tells of the daemon's end
        await asyncio.sleep(0.1)
    await bus.close()


asyncio.run(main())
