/** The API as TypeScript calls. Answers are the documented bodies; a refusal is an `ApiError`. */

import type {
  BatchBody,
  BulkBody,
  CancelledBody,
  DeadLetters,
  DeliveryBody,
  DoctorBody,
  FullDeadLetter,
  FullTask,
  HealthBody,
  LettersBody,
  ListedTask,
  LogLine,
  LogsBody,
  Metrics,
  MetricsBody,
  PausedQueue,
  QuarantineBody,
  Queue,
  QueueHealthBody,
  QueuesBody,
  ReleasedBody,
  RemovedLetter,
  RetriedBody,
  State,
  StatusBody,
  Submission,
  SubmittedBody,
  TaskDeliveries,
  TaskList,
  UsageBody,
  Worker,
  WorkersBody,
} from "./bodies.js"
import { follow, streamed } from "./follow.js"
import { TaskCancelled, TaskFailed } from "./errors.js"
import { ask, askForParts, type Call, type Connection } from "./http.js"
import { RETRIES, type Retries } from "./retries.js"
import type { TaskEvent } from "./sse.js"

export type TaskSubmission = Submission
export type TaskResponse = SubmittedBody
export type TaskStatus = StatusBody

/** Where the service is, and how it is asked. What is left out comes from the environment, or is as patient as it should be. */
export interface TaskServiceOptions {
  baseUrl?: string
  apiKey?: string
  /** Milliseconds for one request. */
  timeout?: number
  retries?: Partial<Retries>
  /** In place of the global one. */
  fetch?: typeof fetch
}

/** Ends whatever it is given to. */
export interface Stoppable {
  signal?: AbortSignal
}

/** Which page of a list. */
export interface Paged {
  page?: number
  limit?: number
}

/** Which of the tasks in quarantine. */
export interface WardFilters {
  project_id?: string
  task_type?: string
}

/** Which of the dead letters that wait. */
export interface LetterFilters {
  queue?: string
  dry_run?: boolean
}

const LETTERS = "/api/v1/dead-letters"

/** Under which name the service does it once, however often it is sent; made if it is not given. */
export interface Once extends Stoppable {
  idempotencyKey?: string
}

/** Filters of a list; they combine. */
export interface TaskFilters {
  status?: State
  task_type?: string
  since?: string
  until?: string
  limit?: number
}

/** Which of a project's tasks something is to be done to: those that fit all of it. */
export interface BulkFilters {
  status?: State
  task_type?: string
  since?: string
  until?: string
  dry_run?: boolean
}

/** A connection to the service. */
export class TaskService {
  private readonly connection: Connection

  constructor(options: TaskServiceOptions = {}) {
    this.connection = {
      baseUrl: options.baseUrl ?? environment(() => process.env.NEXT_PUBLIC_TASK_SERVICE_URL) ?? "http://localhost:8001",
      apiKey: options.apiKey ?? environment(() => process.env.CELERY_TASK_API_KEY) ?? "",
      timeout: options.timeout ?? 60_000,
      retries: { ...RETRIES, ...options.retries },
      fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    }
  }

  /** Submit a task. A lost answer is asked for again under the same idempotency key, which is made if none is given. */
  submitTask(task: TaskSubmission, options: Once = {}): Promise<TaskResponse> {
    return this.ask("Task submission failed", "POST", "/api/v1/tasks/submit", { body: task, ...once(options) })
  }

  /** Submit up to 100 tasks at once; each is accepted or refused by itself. Those that a limit refuses are waited for. */
  submitBatch(tasks: TaskSubmission[], options: Once = {}): Promise<BatchBody> {
    const how = { body: { tasks }, ...once(options) }
    return askForParts(this.connection, this.call("Batch submission failed", "POST", "/api/v1/tasks/batch", how))
  }

  /** State and progress of a task. */
  getTaskStatus(taskId: string, options: Stoppable = {}): Promise<TaskStatus> {
    return this.ask("Failed to get task status", "GET", `${task(taskId)}/status`, options)
  }

  /**
   * The status of a task that is completed. Throws TaskFailed, TaskCancelled, ApiError.
   *
   * `onProgress` gets each status that differs from the one before. The task is followed by its events; where there are
   * none it is looked at each `pollInterval` milliseconds.
   */
  async pollTaskUntilComplete(
    taskId: string,
    onProgress?: (status: TaskStatus) => void,
    pollInterval = 2000,
    options: Stoppable = {},
  ): Promise<TaskStatus> {
    let status: TaskStatus | undefined
    for await (status of this.follow(taskId, { pollInterval, ...options })) onProgress?.(status)
    if (status?.status === "completed") return status
    if (status?.status === "cancelled") throw new TaskCancelled(status)
    throw new TaskFailed(status as TaskStatus)
  }

  /** The status of a task whenever it changes, until it has ended. */
  follow(taskId: string, options: Stoppable & { pollInterval?: number } = {}): AsyncGenerator<TaskStatus, void> {
    const { pollInterval = 2000, signal } = options
    const look = () => this.getTaskStatus(taskId, options)
    return follow(this.connection, this.call("Failed to get task events", "GET", `${task(taskId)}/events`, { signal }), {
      look,
      pollInterval,
      signal,
    })
  }

  /** What happens to a task, until it has ended. A connection that is cut is made again where it was. */
  events(taskId: string, options: Stoppable & { lastEventId?: string | number } = {}): AsyncGenerator<TaskEvent, void> {
    const { lastEventId, signal } = options
    const call = this.call("Failed to get task events", "GET", `${task(taskId)}/events`, { signal })
    return streamed(this.connection, call, lastEventId)
  }

  /** Everything that is kept of a task. */
  getTask(taskId: string, options: Stoppable = {}): Promise<FullTask> {
    return this.ask("Failed to get task", "GET", task(taskId), options)
  }

  /** What the engines said of their work on a task so far. */
  async getTaskLogs(taskId: string, options: Stoppable = {}): Promise<LogLine[]> {
    return (await this.ask<LogsBody>("Failed to get task logs", "GET", `${task(taskId)}/logs`, options)).logs
  }

  /** Cancel a task that has not ended. Cancelling it again changes nothing. */
  cancelTask(taskId: string, options: Stoppable = {}): Promise<CancelledBody> {
    return this.ask("Task cancellation failed", "DELETE", task(taskId), options)
  }

  /** Submit a failed or cancelled task again, under a new id. A lost answer makes no second one, as with `submitTask`. */
  retryTask(taskId: string, options: Once = {}): Promise<RetriedBody> {
    return this.ask("Task retry failed", "POST", `${task(taskId)}/retry`, once(options))
  }

  /** The webhook of a task, with every attempt; none before the task has ended. */
  async getDeliveries(taskId: string, options: Stoppable = {}): Promise<DeliveryBody[]> {
    const path = `${task(taskId)}/deliveries`
    return (await this.ask<TaskDeliveries>("Failed to get deliveries", "GET", path, options)).deliveries
  }

  /** Send the webhook of a task again, with the same body. */
  resendWebhook(taskId: string, options: Stoppable = {}): Promise<DeliveryBody> {
    const path = `${task(taskId)}/deliveries/resend`
    return this.ask("Failed to resend webhook", "POST", path, { ...options, repeatable: false })
  }

  /** One page of a project's tasks, newest first. */
  listTasks(projectId: string, filters: TaskFilters & { page?: number } = {}, options: Stoppable = {}): Promise<TaskList> {
    const path = `${project(projectId)}/tasks`
    return this.ask("Failed to list tasks", "GET", path, { query: { ...filters }, ...options })
  }

  /** All tasks of a project, newest first: pages are asked for as needed. */
  async *allTasks(projectId: string, filters: TaskFilters = {}, options: Stoppable = {}): AsyncGenerator<ListedTask, void> {
    const seen = new Set<string>() // a new task moves others to the next page
    for (let page = 1; ; page += 1) {
      const { tasks, pagination } = await this.listTasks(projectId, { limit: 100, ...filters, page }, options)
      for (const each of tasks) {
        if (!seen.has(each.task_id)) yield each
        seen.add(each.task_id)
      }
      if (page >= pagination.total_pages) return
    }
  }

  /** Cancel all of a project's tasks that fit, up to 5,000 at once; `dry_run` only counts them. */
  cancelTasks(projectId: string, filters: BulkFilters = {}, options: Stoppable = {}): Promise<BulkBody> {
    return this.ask("Cancellation of tasks failed", "POST", `${project(projectId)}/tasks/cancel`, { body: filters, ...options })
  }

  /** Submit all of a project's failed or cancelled tasks that fit again; call it with the answer's `cursor` while there is one. */
  retryTasks(projectId: string, filters: BulkFilters & { cursor?: string } = {}, options: Stoppable = {}): Promise<BulkBody> {
    return this.ask("Retry of tasks failed", "POST", `${project(projectId)}/tasks/retry`, { body: filters, ...options })
  }

  /** Tasks that took three workers with them, newest first. A key for some projects names one. */
  quarantine(filters: WardFilters & Paged = {}, options: Stoppable = {}): Promise<QuarantineBody> {
    return this.ask("Failed to list the quarantine", "GET", "/api/v1/quarantine", { query: { ...filters }, ...options })
  }

  /** Submit all tasks in quarantine that fit again, up to 500 at once; `dry_run` only counts them. `retryTask` does it for one. */
  retryQuarantined(filters: WardFilters & { dry_run?: boolean } = {}, options: Stoppable = {}): Promise<BulkBody> {
    return this.ask("Retry of tasks failed", "POST", "/api/v1/quarantine/retry", { body: filters, ...options })
  }

  /** Let a task in quarantine go: it stays failed. */
  releaseTask(taskId: string, options: Stoppable = {}): Promise<ReleasedBody> {
    const path = `/api/v1/quarantine/${encodeURIComponent(taskId)}`
    return this.ask("Failed to release task", "DELETE", path, { ...options, repeatable: false })
  }

  /** Messages that could not be judged, newest first. Needs a key with the scope `admin`, as the next five do. */
  deadLetters(filters: { status?: "waiting" | "resent"; queue?: string } & Paged = {}, options: Stoppable = {}): Promise<DeadLetters> {
    return this.ask("Failed to list dead letters", "GET", LETTERS, { query: { ...filters }, ...options })
  }

  /** One of them, with the message as it came. */
  deadLetter(letterId: number, options: Stoppable = {}): Promise<FullDeadLetter> {
    return this.ask("Failed to get dead letter", "GET", `${LETTERS}/${letterId}`, options)
  }

  /** Put a message back in its queue, as it was. */
  resendLetter(letterId: number, options: Stoppable = {}): Promise<FullDeadLetter> {
    const path = `${LETTERS}/${letterId}/resend`
    return this.ask("Failed to send dead letter again", "POST", path, { ...options, repeatable: false })
  }

  /** Put all messages back that wait, or those of a queue; `dry_run` only counts them. */
  resendLetters(filters: LetterFilters = {}, options: Stoppable = {}): Promise<LettersBody> {
    return this.ask("Failed to send dead letters again", "POST", `${LETTERS}/resend`, { body: filters, ...options })
  }

  /** Remove one that nobody needs any more. */
  removeLetter(letterId: number, options: Stoppable = {}): Promise<RemovedLetter> {
    return this.ask("Failed to remove dead letter", "DELETE", `${LETTERS}/${letterId}`, { ...options, repeatable: false })
  }

  /** Remove all that wait, or those of a queue; `dry_run` only counts them. */
  removeLetters(filters: LetterFilters = {}, options: Stoppable = {}): Promise<LettersBody> {
    return this.ask("Failed to remove dead letters", "POST", `${LETTERS}/remove`, { body: filters, ...options })
  }

  /** What a project used from one day (UTC, such as 2026-01-31) to another; the last 30 days if none is given. */
  usage(projectId: string, days: { from?: string; to?: string } = {}, options: Stoppable = {}): Promise<UsageBody> {
    return this.ask("Failed to get usage", "GET", `${project(projectId)}/usage`, { query: { ...days }, ...options })
  }

  /** The service, Redis, the workers and the load of their machines. */
  health(options: Stoppable = {}): Promise<HealthBody> {
    return this.ask("Failed to get health", "GET", "/api/v1/health", options)
  }

  /** Lasting numbers of all tasks. */
  async metrics(options: Stoppable = {}): Promise<Metrics> {
    return (await this.ask<MetricsBody>("Failed to get metrics", "GET", "/api/v1/tasks/metrics", options)).metrics
  }

  /** Whether the queues are well, and what to look at if not. */
  queueHealth(options: Stoppable = {}): Promise<QueueHealthBody> {
    return this.ask("Failed to get queue health", "GET", "/api/v1/tasks/health", options)
  }

  /** What waits and runs in each queue, its workers, and why its fleet has the size it has. */
  async queues(options: Stoppable = {}): Promise<Queue[]> {
    return (await this.ask<QueuesBody>("Failed to get queues", "GET", "/api/v1/queues", options)).queues
  }

  /** Let nothing of a queue start any more; what runs is finished. */
  pauseQueue(queue: string, reason = "", options: Stoppable = {}): Promise<PausedQueue> {
    const path = `/api/v1/queues/${encodeURIComponent(queue)}/pause`
    return this.ask("Failed to pause queue", "POST", path, { body: { reason }, ...options })
  }

  /** Let a paused queue go on. */
  resumeQueue(queue: string, options: Stoppable = {}): Promise<PausedQueue> {
    return this.ask("Failed to resume queue", "POST", `/api/v1/queues/${encodeURIComponent(queue)}/resume`, options)
  }

  /** Every worker that beats, and what it does. */
  async workers(options: Stoppable = {}): Promise<Worker[]> {
    return (await this.ask<WorkersBody>("Failed to get workers", "GET", "/api/v1/workers", options)).workers
  }

  /** Every check of the installation: Redis, queues, workers, what was set aside. Needs a key with the scope `admin`. */
  async doctor(options: Stoppable = {}): Promise<DoctorBody> {
    return this.ask("Failed to examine", "GET", "/api/v1/doctor", options)
  }

  private ask<T>(doing: string, method: Call["method"], path: string, more: Partial<Call>): Promise<T> {
    return ask<T>(this.connection, this.call(doing, method, path, more))
  }

  private call(doing: string, method: Call["method"], path: string, more: Partial<Call>): Call {
    return { doing, method, path, repeatable: true, ...more }
  }
}

function once({ idempotencyKey, signal }: Once): Partial<Call> {
  return { headers: { "Idempotency-Key": idempotencyKey ?? crypto.randomUUID() }, signal }
}

function task(taskId: string): string {
  return `/api/v1/tasks/${encodeURIComponent(taskId)}`
}

function project(projectId: string): string {
  return `/api/v1/projects/${encodeURIComponent(projectId)}`
}

declare const process: { env: { NEXT_PUBLIC_TASK_SERVICE_URL?: string; CELERY_TASK_API_KEY?: string } }

/** A variable of the environment, or what a bundler has put in its place; a browser has none. */
function environment(read: () => string | undefined): string | undefined {
  try {
    return read() || undefined
  } catch {
    return undefined
  }
}

/** The service of the environment: `NEXT_PUBLIC_TASK_SERVICE_URL`, `CELERY_TASK_API_KEY`. */
export const taskService = new TaskService()
