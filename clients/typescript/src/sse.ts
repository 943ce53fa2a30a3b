/** Reads a stream of server-sent events. Over fetch and not EventSource, which cannot send the key. */

import type { State } from "./bodies.js"

/** States that a task does not leave. */
export const FINAL: ReadonlySet<unknown> = new Set<State>(["completed", "failed", "cancelled"])

/** Something that happened to a task. */
export interface TaskEvent {
  /** Where in the stream it is: a stream that is opened with it goes on behind it. */
  id: string | undefined
  type: string
  data: Record<string, unknown>
}

/** Whether nothing can come after it. */
export function isFinal(event: TaskEvent): boolean {
  return FINAL.has(event.data["status"])
}

/** Lines in, events out. Comments, which keep the connection alive, and events that are not ours are passed over. */
export class Parser {
  private id: string | undefined
  private type = ""
  private data: string[] = []

  /** `lastId` is of the last event that is whole: after a cut in the middle of one, that one has to come again. */
  constructor(public lastId: string | undefined = undefined) {}

  /** The event that this line ends, if it does. */
  feed(line: string): TaskEvent | undefined {
    if (line !== "") {
      this.take(line)
      return undefined
    }
    const { type, data } = this
    this.lastId = this.id ?? this.lastId
    this.id = undefined
    this.type = ""
    this.data = []
    const content = read(data.join("\n"))
    return content && { id: this.lastId, type: type || "message", data: content }
  }

  private take(line: string): void {
    const colon = line.indexOf(":")
    const name = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "")
    if (name === "event") this.type = value
    if (name === "data") this.data.push(value)
    if (name === "id" && !value.includes("\0")) this.id = value
  }
}

function read(text: string): Record<string, unknown> | undefined {
  try {
    const content: unknown = JSON.parse(text)
    const isObject = typeof content === "object" && content !== null && !Array.isArray(content)
    return isObject ? (content as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** The lines of a body, as they come. `heard` is called for each part of it. */
export async function* lines(body: ReadableStream<Uint8Array>, heard: () => void): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ""
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      heard()
      const parts = (rest + decoder.decode(value, { stream: true })).split(/\r\n|\n|\r(?!$)/)
      rest = parts.pop() ?? ""
      yield* parts
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
