/** The bodies of the API, as its OpenAPI document has them. Made by `make generate`: change the service. */

/** Something to look at. `task_id` only where the alert is about one task. */
export interface Alert {
  severity: "warning" | "critical"
  message: string
  metric: string
  value: number
  task_id?: string
}

/** The service is alive. */
export interface AliveBody {
  status: string
}

/** One attempt. `status_code` and `response`, its start, only where there was an answer. */
export interface AttemptBody {
  at: string
  status_code: number | null
  error: string | null
  duration_ms: number | null
  response: string | null
}

/**
 * A request that changed something, or tried to. `name` and `key_id` say whose key it was, `status` what it was
 * answered.
 */
export interface AuditEntry {
  id: string
  at: string
  action: string
  key_id: string | null
  name: string | null
  project: string | null
  target: string | null
  address: string | null
  status: number
}

/** Entries, the newest first. `next`: ask for those before this one; null: there are no more. */
export interface AuditBody {
  entries: AuditEntry[]
  next: string | null
}

/** The answer to a submission. `warnings` only where there are any. */
export interface SubmittedBody {
  task_id: string
  status: State
  project_id: string
  estimated_duration: number
  queue_position: number
  created_at: string
  warnings?: string[]
}

/** Why a task was refused: the body that it would have been answered with alone, and its HTTP status. */
export interface BatchError {
  status: number
  error: string
  message: string
  details?: Record<string, string>
  retry_after?: number
}

/** What came of one task: the answer to its submission, or an error. */
export interface BatchResult {
  index: number
  task: SubmittedBody | null
  error: BatchError | null
}

/** What came of each task, in the order given. */
export interface BatchBody {
  accepted: number
  refused: number
  results: BatchResult[]
}

/** The common shape of errors. `details` has a sentence for each wrong field, under its dotted path. */
export interface ErrorBody {
  error: string
  message: string
  details?: Record<string, string>
  detail?: string
  retry_after?: number
}

/** A task that fits. */
export interface SampleTask {
  task_id: string
  task_type: string
  status: string
  created_at: string
}

/**
 * What came of a request on many tasks. `done` of the `matched` are done, `skipped` had been done before. `remaining`
 * is what the same request, with `cursor` if there is one, would go on with; `stopped_by` is the error that it stopped
 * at, if so.
 */
export interface BulkBody {
  dry_run: boolean
  matched: number
  done: number
  skipped: number
  remaining: number
  cursor: string | null
  stopped_by: ErrorBody | null
  sample: SampleTask[]
}

/** The answer to a cancellation. */
export interface CancelledBody {
  task_id: string
  status: State
  message: string
  previous_state: State
  cancelled_at: string | null
}

/**
 * Something in a task's story: an attempt that did not complete it, or what somebody did about it (docs/tasks.md).
 */
export interface Chapter {
  at: string
  how: "lost" | "handed_back" | "failed" | "retried" | "released"
  reason: string | null
  attempt: number | null
  started_at: string | null
  worker: string | null
  new_task_id: string | null
  key_id: string | null
}

/** What a task waits for: a closed list. Several may hold at once. */
export type Code = "paused" | "scheduled" | "retry" | "in_line" | "no_fleet" | "fleet_paused" | "fleet_blind" | "workers_failing" | "unschedulable" | "workers_starting" | "at_maximum" | "workers_busy" | "next"

/** The six numbers of queue health. */
export interface Counts {
  total_tasks: number
  completed_tasks: number
  failed_tasks: number
  success_rate: number
  failure_rate: number
  currently_running: number
}

/**
 * Tasks by how they ended, and the time that workers spent on them. Each attempt counts with its time, also those that
 * failed, were lost or cancelled. `gpu_seconds` is that time, times the GPUs of the worker.
 */
export interface Usage {
  completed: number
  failed: number
  cancelled: number
  attempts: number
  run_seconds: number
  gpu_seconds: number
}

/** One day (UTC): what ended in it. */
export interface DayUsage {
  date: string
  total: Usage
  by_type: Record<string, Usage>
}

/** A message or record that could not be judged. `size` is null for a record. `times`: how often it came. */
export interface DeadLetter {
  letter_id: number
  status: LetterState
  reason: string
  queue: string | null
  task_id: string | null
  task_type: string | null
  worker: string | null
  size: number | null
  times: number
  at: string
  last_at: string
  resent_at: string | null
  resent_by: string | null
}

/** Where a page is. `total` counts after filters. */
export interface Pagination {
  page: number
  limit: number
  total: number
  total_pages: number
}

/** One page of them, the newest first. */
export interface DeadLetters {
  dead_letters: DeadLetter[]
  pagination: Pagination
}

/** The webhook of one task. */
export interface DeliveryBody {
  webhook_id: string
  task_id: string
  project_id: string
  task_type: string
  task_status: string
  callback_url: string
  status: string
  created_at: string
  next_attempt_at: string | null
  attempts: AttemptBody[]
}

/** One page of them. */
export interface Deliveries {
  deliveries: DeliveryBody[]
  pagination: Pagination
}

/** How far the delivery of a webhook is. The task's own state never depends on it. */
export type DeliveryState = "pending" | "delivered" | "failed"

/** What one check came to. `why` and `remedy` are empty where all is well. */
export interface Finding {
  subject: string
  check: string
  severity: "ok" | "unknown" | "warning" | "failure"
  found: string
  why: string
  remedy: string
}

/** Every check of an installation, and who asks. */
export interface DoctorBody {
  version: string
  key_name: string
  key_scopes: string[]
  findings: Finding[]
}

/** Seconds from now: half of such tasks need less than `p50`, nine of ten less than `p90`. */
export interface EstimateBody {
  p50: number
  p90: number
}

/** When a queued task will start, and when it will be done, by what was measured of others. */
export interface EtaBody {
  start_seconds: EstimateBody
  completion_seconds: EstimateBody
}

/** One event. */
export interface EventBody {
  id: number
  event: string
  data: Record<string, unknown>
}

/** The events of a task so far. `complete`: whether none of them is gone. */
export interface EventsBody {
  task_id: string
  events: EventBody[]
  complete: boolean
}

/** What the fleet controller last decided for a queue. */
export interface Fleet {
  wanted: number
  starting: number
  ready: number
  draining: number
  busy: number
  minimum: number
  maximum: number
  reason: string
  trouble?: string | null
  explanation: string
}

/** One of them with the message itself: all of it, or its beginning if `complete` is false. */
export interface FullDeadLetter {
  letter_id: number
  status: LetterState
  reason: string
  queue: string | null
  task_id: string | null
  task_type: string | null
  worker: string | null
  size: number | null
  times: number
  at: string
  last_at: string
  resent_at: string | null
  resent_by: string | null
  message: string | null
  complete: boolean
}

/** One thing that a queued task waits for: a code of a closed list, a sentence, and the numbers in it. */
export interface PendingReason {
  code: Code
  message: string
  details: Record<string, number>
  until?: string
}

/** Why there is no estimate: a closed list. */
export type Unknown = "paused" | "no_worker_ready" | "not_measured"

/** Everything that is kept of a task, and why it waits. */
export interface FullTask {
  task_id: string
  project_id: string
  status: State
  progress: number | null
  current_step: string | null
  result: Record<string, unknown> | null
  error: string | null
  started_at: string | null
  completed_at: string | null
  processing_time: number | null
  task_type: string
  created_at: string
  attempt: number
  max_attempts: number
  next_attempt_at: string | null
  last_error: string | null
  task_data: Record<string, unknown>
  metadata: Record<string, unknown>
  priority: number
  callback_url: string | null
  updated_at: string
  traceback: string | null
  deadline: string | null
  retry_of: string | null
  key_id: string | null
  quarantined_at: string | null
  story: Chapter[]
  queue_position: number | null
  pending_reasons: PendingReason[]
  eta: EtaBody | null
  eta_unknown: Unknown | null
}

/** Load of the machines that run tasks. */
export interface SystemLoad {
  cpu_percent: number
  memory_percent: number
  gpu_utilization: number[]
}

/** The service, and the load of the machines that run tasks. */
export interface HealthBody {
  status: string
  redis_status: string
  worker_count: number
  queue_sizes: Record<string, number>
  system_load: SystemLoad
  uptime: number
}

/** A key. A limit that is null is that of the settings, and so is `projects`: all of them. */
export interface KeyView {
  key_id: string
  name: string
  source: string
  scopes: string[]
  projects: string[] | null
  submissions_per_minute: number | null
  status_reads_per_minute: number | null
  project_tasks: number | null
  created_at: string | null
  last_used_at: string | null
  previous_valid_until: string | null
}

/** Every key. */
export interface KeyList {
  keys: KeyView[]
  total: number
}

/** Whether somebody has seen to it. */
export type LetterState = "waiting" | "resent"

/** What came of a request on many. `skipped`: what cannot be sent again; it stays where it is. */
export interface LettersBody {
  dry_run: boolean
  matched: number
  done: number
  skipped: number
}

/** A task in a list. A document above 16 KiB is null; `omitted` then tells its size in bytes. */
export interface ListedTask {
  task_id: string
  project_id: string
  task_type: string
  status: State
  task_data: Record<string, unknown> | null
  result: Record<string, unknown> | null
  created_at: string
  updated_at: string
  completed_at: string | null
  result_url: string | null
  omitted?: Record<string, number>
}

/** One line that an engine said of its work. */
export interface LogLine {
  id: number
  at: string
  level: string
  message: string
}

/** What the engines said of a task so far. `complete`: whether nothing of it is gone. */
export interface LogsBody {
  task_id: string
  logs: LogLine[]
  complete: boolean
}

/**
 * What was lost and came back, and what waits for people. `quarantined` and `dead_letters` are those there now; the
 * others count since the store was made, and `dropped_…` what nobody looked at in time.
 */
export interface Losses {
  quarantined: number
  dead_letters: number
  lost_workers_total: number
  recovered_messages_total: number
  quarantined_total: number
  dropped_quarantined_total: number
  dead_letters_total: number
  dropped_dead_letters_total: number
}

/** A key with its secret, which is shown this once. */
export interface MadeKey {
  key_id: string
  name: string
  source: string
  scopes: string[]
  projects: string[] | null
  submissions_per_minute: number | null
  status_reads_per_minute: number | null
  project_tasks: number | null
  created_at: string | null
  last_used_at: string | null
  previous_valid_until: string | null
  api_key: string
}

/**
 * Counters since the store was made, and rates in percent. `retried_tasks` counts automatic retries, each by itself; a
 * retry that somebody asks for is a new task, in `total_tasks`.
 */
export interface Metrics {
  total_tasks: number
  completed_tasks: number
  failed_tasks: number
  success_rate: number
  failure_rate: number
  currently_running: number
  retried_tasks: number
  cancelled_tasks: number
  average_durations: Record<string, number>
}

/** Lasting numbers of all tasks, and what was lost on the way. */
export interface MetricsBody {
  metrics: Metrics
  losses: Losses
  timestamp: string
}

/** Since when and why nothing of a queue starts. */
export interface PauseBody {
  since: string
  reason: string
}

/** The answer to pausing or resuming a queue. */
export interface PausedQueue {
  queue: string
  paused: PauseBody | null
}

/** A task in quarantine. `GET /api/v1/tasks/{task_id}` has its story. */
export interface QuarantinedTask {
  task_id: string
  project_id: string
  task_type: string
  queue: string
  created_at: string
  quarantined_at: string
  error: string
}

/** One page of them, the newest first. */
export interface QuarantineBody {
  tasks: QuarantinedTask[]
  pagination: Pagination
}

/**
 * What waits and runs; `scheduled` are delayed tasks and retries that wait for their time. `fleet` is null where no
 * controller looks after the queue.
 */
export interface Queue {
  queue: string
  waiting: number
  waiting_by_priority: Record<string, number>
  running: number
  scheduled: number
  oldest_wait_seconds: number | null
  mean_run_seconds: number | null
  workers: number
  paused: PauseBody | null
  fleet: Fleet | null
}

/** Whether the queues are well, and what to look at if not. */
export interface QueueHealthBody {
  status: "healthy" | "warning" | "critical"
  metrics: Counts
  alerts: Alert[]
  timestamp: string
}

/** Every queue that some task type is routed to. */
export interface QueuesBody {
  queues: Queue[]
}

/** A task was let go: it stays failed. */
export interface ReleasedBody {
  task_id: string
  status: State
  message: string
}

/** A dead letter is gone. */
export interface RemovedLetter {
  letter_id: number
  message: string
}

/** The answer to a retry: the task has a new id. */
export interface RetriedBody {
  new_task_id: string
  original_task_id: string
  status: State
  message: string
}

/** A key that is none any more. */
export interface RevokedKey {
  key_id: string
  status: string
  message: string
}

/** What the webhooks of a key are signed with. */
export interface SecretBody {
  secret: string
  created_at: string
  previous_valid_until: string | null
}

/** Where a task is in its life. Clients stop polling on the three final ones; no state may be added. */
export type State = "queued" | "processing" | "completed" | "failed" | "cancelled"

/** State and progress of a task: the same keys in every state, null until they apply. */
export interface StatusBody {
  task_id: string
  project_id: string
  status: State
  progress: number | null
  current_step: string | null
  result: Record<string, unknown> | null
  error: string | null
  started_at: string | null
  completed_at: string | null
  processing_time: number | null
  task_type: string
  created_at: string
  attempt: number
  max_attempts: number
  next_attempt_at: string | null
  last_error: string | null
}

/** The body of a submission. */
export interface Submission {
  project_id: string
  task_type: "generate_video" | "render_animation" | "generate_image" | "generate_character_voice" | "process_audio" | "evaluate_department" | "automated_gather_creation" | "test_prompt"
  task_data: Record<string, unknown>
  priority?: number
  callback_url?: string | null
  metadata?: Record<string, unknown> | null
  delay_seconds?: number | null
  run_at?: string | null
  deadline_seconds?: number | null
  deadline?: string | null
}

/** Those of one task: none, or one. */
export interface TaskDeliveries {
  task_id: string
  deliveries: DeliveryBody[]
}

/** A page of a project's tasks, newest first. */
export interface TaskList {
  tasks: ListedTask[]
  pagination: Pagination
}

/** Redis cannot be reached. What cannot be seen is null, not zero. */
export interface UnhealthyBody {
  status: string
  redis_status: string
  worker_count: number | null
  queue_sizes: Record<string, number> | null
  system_load: SystemLoad | null
  uptime: number
  error: string
  message: string
  retry_after: number
}

/** What a project used. Days without use are left out. */
export interface UsageBody {
  project_id: string
  first_day: string
  last_day: string
  total: Usage
  by_type: Record<string, Usage>
  by_day: DayUsage[]
}

/** How webhooks are delivered. */
export interface WebhookRules {
  addresses: string[]
  attempts: number
  retry_delays_seconds: number[]
  timeout_seconds: number
  success_codes: number[]
}

/** One worker, as it last told. What it tells of its machine may be missing. */
export interface Worker {
  worker_id: string
  queue: string
  draining: boolean
  silent_seconds: number
  phase?: string
  running?: number
  concurrency?: number
  consumer_restarts?: number
  trouble?: string
  host?: string
  pid?: number
  cpu_percent?: number
  memory_percent?: number
  gpu_utilization?: number[]
  memory_bytes?: Record<string, number>
}

/** Every worker that beats. */
export interface WorkersBody {
  workers: Worker[]
  total: number
}
