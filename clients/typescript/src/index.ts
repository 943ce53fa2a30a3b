export * from "./bodies.js"
export { ApiError, TaskCancelled, TaskFailed } from "./errors.js"
export type { Retries } from "./retries.js"
export type { TaskEvent } from "./sse.js"
export {
  TaskService,
  taskService,
  type BulkFilters,
  type LetterFilters,
  type Once,
  type Paged,
  type Stoppable,
  type TaskFilters,
  type TaskResponse,
  type TaskServiceOptions,
  type TaskStatus,
  type TaskSubmission,
  type WardFilters,
} from "./taskService.js"
