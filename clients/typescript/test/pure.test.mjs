// What needs no service: when a request is sent again, and how a stream is read.
import assert from "node:assert/strict"
import { test } from "node:test"
import { pause, RETRIES } from "../dist/retries.js"
import { Parser } from "../dist/sse.js"

const first = { repeatable: true, attempt: 1, waited: 0 }
const once = { ...first, repeatable: false }
const lost = { lost: new TypeError("terminated") }

for (const [name, tries, outcome, expected] of [
  ["it is wrong", first, { status: 400 }, undefined],
  ["the service is broken: again it would be, too", first, { status: 500 }, undefined],
  ["a proxy has nobody behind it", first, { status: 503 }, 250],
  ["Redis is away", first, { status: 503, retryAfter: 5 }, 5250],
  ["longer than anybody waits", first, { status: 503, retryAfter: 300 }, undefined],
  ["over a limit", first, { status: 429, retryAfter: 7 }, 7250],
  ["over a limit; it was not done", once, { status: 429, retryAfter: 7 }, 7250],
  ["no answer", first, lost, 250],
  ["no answer; it may have been done", once, lost, undefined],
  ["once more", { ...first, attempt: 4 }, lost, 2000],
  ["often enough", { ...first, attempt: 5 }, lost, undefined],
  ["long enough", { ...first, waited: 30_000 }, lost, undefined],
]) {
  test(`sent again? ${name}`, () => assert.equal(pause(RETRIES, tries, outcome, 1), expected))
}

test("an event is its lines up to an empty one, and half of one is not had", () => {
  const parser = new Parser()
  const read = (text) => text.split("\n").map((line) => parser.feed(line)).filter(Boolean)
  assert.deepEqual(read("retry: 2000\n\n: still here\n\nid: 4\nevent: progress\ndata: {\ndata:}\n\nid: 5\ndata: {"), [
    { id: "4", type: "progress", data: {} },
  ])
  assert.equal(parser.lastId, "4")
})
