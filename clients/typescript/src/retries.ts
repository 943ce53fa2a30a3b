/** When a request is sent again. A task that failed is never submitted again here: the service has its own attempts. */

/** How patient a client is. */
export interface Retries {
  /** How often a request is sent while the service cannot be reached or is unavailable. */
  attempts: number
  /** Milliseconds that one request may wait for that altogether. */
  patience: number
  /** Milliseconds that one request may wait altogether for a limit to let it through; limits count by the minute. */
  limitPatience: number
}

export const RETRIES: Retries = { attempts: 5, patience: 30_000, limitPatience: 90_000 }
const FIRST_PAUSE = 250
const LONGEST_PAUSE = 8_000

/** What came of a request: an answer's status and the seconds it asked to wait, or nothing. */
export type Outcome = { status: number; retryAfter: number | undefined } | { lost: unknown }

/** One request, and how often it was sent so far. */
export interface Tries {
  /** Whether it does no harm if it is done twice. */
  repeatable: boolean
  attempt: number
  /** Milliseconds that it has waited so far. */
  waited: number
}

/** Milliseconds to wait before the request is sent again; undefined: what came back is the answer. */
export function pause(retries: Retries, tries: Tries, outcome: Outcome, chance = Math.random()): number | undefined {
  const backoff = Math.min(FIRST_PAUSE * 2 ** (tries.attempt - 1), LONGEST_PAUSE) * (0.5 + chance / 2)
  if ("status" in outcome && outcome.status === 429) {
    // Refused before anything was done.
    const wait = (outcome.retryAfter ?? 0) * 1000 + backoff
    return tries.waited + wait <= retries.limitPatience ? wait : undefined
  }
  const passing = "lost" in outcome || [502, 503, 504].includes(outcome.status)
  if (!passing || !tries.repeatable || tries.attempt >= retries.attempts) return undefined
  const wait = backoff + ("status" in outcome ? (outcome.retryAfter ?? 0) * 1000 : 0)
  return tries.waited + wait <= retries.patience ? wait : undefined
}
