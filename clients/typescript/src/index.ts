export * from "./bodies.js"
export { ApiError, TaskCancelled, TaskFailed } from "./errors.js"
export type { Retries } from "./retries.js"
export type { TaskEvent } from "./sse.js"
export {
  TaskService,
  taskService,
  type BulkFilters,
  type Once,
  type Stoppable,
  type TaskFilters,
  type TaskResponse,
  type TaskServiceOptions,
  type TaskStatus,
  type TaskSubmission,
} from "./taskService.js"
