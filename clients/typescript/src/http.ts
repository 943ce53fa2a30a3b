/** Requests and their answers: the key, timeouts, and sending again. */

import type { BatchBody, ErrorBody } from "./bodies.js"
import { ApiError } from "./errors.js"
import { pause, type Outcome, type Retries, type Tries } from "./retries.js"

/** Where the service is and how it is asked. */
export interface Connection {
  baseUrl: string
  apiKey: string
  /** Milliseconds for one request; a stream may take as long as it likes. */
  timeout: number
  retries: Retries
  fetch: typeof fetch
}

/** One request. */
export interface Call {
  method: "GET" | "POST" | "DELETE"
  path: string
  /** What an error says went wrong, before the reason. */
  doing: string
  headers?: Record<string, string>
  body?: unknown
  query?: Record<string, string | number | undefined>
  repeatable: boolean
  signal?: AbortSignal | undefined
}

/** The body of an answer. Throws ApiError. */
export async function ask<T>(connection: Connection, call: Call): Promise<T> {
  const response = await answered(connection, call, () => AbortSignal.timeout(connection.timeout))
  return (await response.json()) as T
}

/**
 * The body of an answer in parts. While a limit refuses some of them, the whole is sent again under its idempotency key,
 * and what was accepted before is answered as it was. Throws ApiError.
 */
export async function askForParts(connection: Connection, call: Call): Promise<BatchBody> {
  let body: BatchBody | undefined
  for (let attempt = 1, waited = 0; ; attempt += 1) {
    try {
      body = await ask<BatchBody>(connection, call)
    } catch (error) {
      // Which parts were accepted is worth more than why no more could be.
      if (!body || call.signal?.aborted) throw error
      return body
    }
    const told = body.results.map(({ error }) => error?.retry_after).filter((seconds) => seconds !== undefined)
    if (told.length === 0) return body
    const limited = { status: 429, retryAfter: Math.min(...told) }
    const wait = pause(connection.retries, { repeatable: true, attempt, waited }, limited)
    if (wait === undefined) return body
    await sleep(wait, call.signal)
    waited += wait
  }
}

/** An answer that is a success, over as many tries as it takes. Throws ApiError, or what `fetch` throws. */
export async function answered(connection: Connection, call: Call, limit: () => AbortSignal): Promise<Response> {
  const tries: Tries = { repeatable: call.repeatable, attempt: 1, waited: 0 }
  for (;;) {
    const sent = await send(connection, call, limit())
    if ("response" in sent && sent.response.ok) return sent.response
    const wait = pause(connection.retries, tries, outcome(sent))
    if (wait === undefined) throw await failure(call, sent)
    if ("response" in sent) await sent.response.body?.cancel()
    await sleep(wait, call.signal)
    tries.attempt += 1
    tries.waited += wait
  }
}

type Sent = { response: Response } | { lost: unknown }

async function send(connection: Connection, call: Call, limit: AbortSignal): Promise<Sent> {
  const url = new URL(connection.baseUrl.replace(/\/+$/, "") + call.path)
  for (const [name, value] of Object.entries(call.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value))
  }
  const headers: Record<string, string> = { "X-API-Key": connection.apiKey, ...call.headers }
  if (call.body !== undefined) headers["Content-Type"] = "application/json"
  try {
    const response = await connection.fetch(url, {
      method: call.method,
      headers,
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: call.signal ? AbortSignal.any([call.signal, limit]) : limit,
    })
    return { response }
  } catch (lost) {
    call.signal?.throwIfAborted()
    return { lost }
  }
}

function outcome(sent: Sent): Outcome {
  if ("lost" in sent) return sent
  return { status: sent.response.status, retryAfter: retryAfter(sent.response) }
}

function retryAfter(response: Response): number | undefined {
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
}

async function failure(call: Call, sent: Sent): Promise<unknown> {
  if ("lost" in sent) return sent.lost
  const { response } = sent
  const body: unknown = await response.json().catch(() => ({}))
  return new ApiError(call.doing, response.status, response.statusText, body as Partial<ErrorBody>, retryAfter(response))
}

/** Wait; throws as soon as the signal says so. */
export function sleep(milliseconds: number, signal?: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener("abort", stop, { once: true })
    function done() {
      signal?.removeEventListener("abort", stop)
      resolve()
    }
    function stop() {
      clearTimeout(timer)
      reject(signal?.reason)
    }
  })
}
