// A plugin for rosey in JavaScript, as in docs/workers.md. `!tell TEXT` says TEXT. Once: npm install
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "@nats-io/transport-node";

const { plugin, login, parent } = JSON.parse(readFileSync(Number(process.argv.at(-1)), "utf8"));
const session = randomUUID();
const numbers = new Map();
const lines = new Set();

const bus = await connect({
  servers: login.url,
  user: login.user,
  pass: login.password,
  inboxPrefix: `_INBOX_${plugin}`,
  maxReconnectAttempts: -1,
  reconnectTimeWait: 200,
});

async function ask(way, message) {
  const answer = await bus.request(`rosey.plugins.${plugin}.${way}`, JSON.stringify(message), { timeout: 60_000 });
  return answer.json();
}

async function take(asked) {
  const way = asked.subject.split(".").slice(3);
  const told = asked.json();
  let result = null;
  if (told.session !== session) return;
  if (way.at(-1) === "events" && told.number > (numbers.get(way[1]) ?? 0)) {
    numbers.set(way[1], told.number);
    for (const event of told.events) if (!event.metadata?.own) lines.add(event.id);
  } else if (way.at(-1) === "command") {
    const receipt = await ask(`do.${way[1]}.reply.chat.send_message`, { text: told.rest });
    const became = receipt.ok ? receipt.result.state : receipt.error.message;
    result = `${told.user}: ${became}, and I heard ${lines.size} lines.`;
  }
  asked.respond(JSON.stringify({ ok: true, result }));
  if (way.join(".") === "control.stop") {
    await bus.drain();
    process.exit();
  }
}

for (const way of ["hook", "control"]) {
  bus.subscribe(`rosey.plugins.${plugin}.${way}.>`, {
    callback: (error, asked) => (error ? console.error(error.message) : take(asked).catch(console.error)),
  });
}
setInterval(() => process.ppid === parent || process.exit(), 200); // nothing tells of the daemon's end
await ask("ask.hello", { session, api: 1, pid: process.pid });
