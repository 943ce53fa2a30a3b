/** What goes wrong: refusals of the service, and ends of a task that nobody hoped for. */

import type { ErrorBody, StatusBody } from "./bodies.js"

/** The service refused. `message` is the documented text; what the service said is in `reason` and `details`. */
export class ApiError extends Error {
  /** The kind of error in one word, such as `validation_error`. */
  readonly error: string
  /** What the service said of it, for people. */
  readonly reason: string
  /** A sentence for each wrong field, under its dotted path. */
  readonly details: Record<string, string>

  constructor(
    doing: string,
    /** Of HTTP. */
    readonly status: number,
    statusText: string,
    body: Partial<ErrorBody>,
    /** Seconds after which the same request may do better, where the service said so. */
    readonly retryAfter: number | undefined,
  ) {
    super(`${doing}: ${statusText || body.message || `HTTP ${status}`}`)
    this.name = "ApiError"
    this.error = body.error ?? ""
    this.reason = body.message ?? ""
    this.details = body.details ?? {}
  }

  /** With what the service said: `ApiError: Task submission failed: Bad Request (Invalid task data: priority: …)`. */
  override toString(): string {
    const faults = Object.entries(this.details).map(([field, fault]) => `${field}: ${fault}`)
    const said = [this.reason, faults.join("; ")].filter(Boolean).join(": ")
    return super.toString() + (said && ` (${said})`)
  }
}

/** The task has ended without a result. The service has already done all its automatic attempts. */
export class TaskFailed extends Error {
  constructor(readonly status: StatusBody) {
    super(status.error || "Task failed")
    this.name = "TaskFailed"
  }
}

/** Somebody cancelled the task. */
export class TaskCancelled extends Error {
  constructor(readonly status: StatusBody) {
    super("Task was cancelled")
    this.name = "TaskCancelled"
  }
}
