/** Following a task: by its events, over as many connections as it takes, and by looking where there are none. */

import type { StatusBody } from "./bodies.js"
import { answered, sleep, type Call, type Connection } from "./http.js"
import { pause, type Tries } from "./retries.js"
import { ApiError } from "./errors.js"
import { FINAL, isFinal, lines, Parser, type TaskEvent } from "./sse.js"

/** A stream that says nothing for so long, not even that it is there, is given up. The service says so every 15 s. */
const IDLE = 30_000
const FIRST_LOOK = 250
const LOOK_GROWTH = 1.3
/** Streams that end without a word, one after the other, before a task is followed by looking alone. */
const STREAMS = 5

/** Each event of a task to its end. Throws ApiError. */
export async function* streamed(
  connection: Connection,
  call: Call,
  lastEventId?: string | number,
): AsyncGenerator<TaskEvent, void> {
  const parser = new Parser(lastEventId?.toString())
  let tries: Tries = { repeatable: true, attempt: 1, waited: 0 }
  for (;;) {
    const before = parser.lastId
    let lost: unknown
    try {
      for await (const event of once(connection, call, parser)) {
        yield event
        if (isFinal(event)) return
      }
    } catch (error) {
      if (error instanceof ApiError || call.signal?.aborted) throw error
      if (error === NOTHING_LEFT) return
      lost = error
    }
    if (parser.lastId !== before) tries = { repeatable: true, attempt: 1, waited: 0 }
    const wait = pause(connection.retries, tries, { lost })
    if (wait === undefined) throw lost ?? new Error("The stream of events ended before the task did")
    await sleep(wait, call.signal)
    tries = { ...tries, attempt: tries.attempt + 1, waited: tries.waited + wait }
  }
}

/** Thrown for a stream that was asked for behind the last event of a task that has ended. */
const NOTHING_LEFT = new Error("The task has ended, and its last event was had before")

/** The events of one connection. */
async function* once(connection: Connection, call: Call, parser: Parser): AsyncGenerator<TaskEvent, void> {
  const silence = new Silence(IDLE)
  try {
    const headers: Record<string, string> = { Accept: "text/event-stream" }
    if (parser.lastId !== undefined) headers["Last-Event-ID"] = parser.lastId
    const response = await answered(connection, { ...call, headers }, () => silence.begin())
    if (response.status === 204) throw NOTHING_LEFT
    if (!response.body) return
    for await (const line of lines(response.body, () => silence.broken())) {
      const event = parser.feed(line)
      if (event) yield event
    }
  } finally {
    silence.end()
  }
}

/** A signal that says so when nothing has been heard for a while. */
class Silence {
  private controller = new AbortController()
  private timer: ReturnType<typeof setTimeout> | undefined

  constructor(private readonly milliseconds: number) {}

  begin(): AbortSignal {
    this.controller = new AbortController()
    this.broken()
    return this.controller.signal
  }

  broken(): void {
    clearTimeout(this.timer)
    this.timer = setTimeout(() => {
      this.controller.abort(new Error(`Nothing was heard for ${this.milliseconds / 1000} s`))
    }, this.milliseconds)
  }

  end(): void {
    clearTimeout(this.timer)
  }
}

interface Looking {
  look: () => Promise<StatusBody>
  pollInterval: number
  signal: AbortSignal | undefined
}

/** The status of a task whenever it changes, until it has ended. Throws ApiError. */
export async function* follow(connection: Connection, call: Call, looking: Looking): AsyncGenerator<StatusBody, void> {
  const parser = new Parser()
  let streams = STREAMS
  let interval = Math.min(FIRST_LOOK, looking.pollInterval)
  let status = await looking.look()
  yield status
  while (!FINAL.has(status.status)) {
    if (streams > 0) {
      streams -= 1
      try {
        for await (const event of once(connection, call, parser)) {
          streams = STREAMS
          const changed = moved(status, event) ?? (await looking.look())
          if (JSON.stringify(changed) !== JSON.stringify(status)) {
            status = changed
            yield status
          }
          if (FINAL.has(status.status)) return
        }
      } catch (error) {
        if (call.signal?.aborted) throw error
        if (error instanceof ApiError) streams = 0
      }
    }
    await sleep(interval, looking.signal)
    interval = Math.min(interval * LOOK_GROWTH, looking.pollInterval)
    status = await looking.look()
    yield status
  }
}

/** The status after an event; undefined where it has to be asked for. A stream begins in the past: what is old is passed over. */
function moved(status: StatusBody, event: TaskEvent): StatusBody | undefined {
  const { data, type } = event
  if (type === "progress") {
    const progress = Number(data["progress"])
    const ahead = progress >= (status.progress ?? 0) && status.status === "processing"
    return ahead ? { ...status, progress, current_step: String(data["current_step"]) } : status
  }
  if (type === "state" && data["task"]) return data["task"] as StatusBody
  if (type === "state" && data["status"] === status.status) return status
  if (["state", "retry", "lost", "gap"].includes(type)) return undefined
  return status // a line of the log, or a kind that is newer than we are
}
