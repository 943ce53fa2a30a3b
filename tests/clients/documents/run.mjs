// Runs the documents' TypeScript as it is, but for its types, which node does not read: `node run.mjs TYPESCRIPT`, the path
// of the compiler. What they use and do not define is given; what comes of it is one JSON object on stdout.
// Their timers run ten times as fast, and what those of the retries were asked for is noted.
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"

const FASTER = 10
const faster = (action, delay) => setTimeout(action, delay / FASTER)
globalThis.faster = faster

const typescript = createRequire(import.meta.url)(process.argv[2])
const options = { target: "ES2022", module: "ESNext", verbatimModuleSyntax: true }
const plain = (name) => {
  const source = readFileSync(new URL(name, import.meta.url), "utf8")
  return typescript.transpileModule(source, { compilerOptions: options }).outputText
}
const file = join(mkdtempSync(join(tmpdir(), "documents-")), "taskService.mjs")
writeFileSync(file, `const setTimeout = globalThis.faster\n${plain("taskService.ts")}`)
const { taskService } = await import(file)

const AsyncFunction = (async () => undefined).constructor
const sample = (name, given, returns = "undefined") =>
  new AsyncFunction(...Object.keys(given), `${plain(name)}\nreturn ${returns}`)(...Object.values(given))

const logged = []
const console_ = { log: (...words) => logged.push(words), error: (...words) => logged.push(words) }
const found = {}
const steps = []
const bars = []
const video = (task_data) => ({ project_id: "documents", task_type: "generate_video", task_data })

// 1. Fire and forget
const updates = []
const database = { updateProject: async (...given) => updates.push(given) }
await sample("fire-and-forget.ts", { taskService, database, projectId: "my_project", existingTasks: ["earlier"] })
found.kept = updates

// 2. Progress
await sample("progress.ts", {
  taskService,
  taskData: video({ seconds: 1.2 }),
  updateProgressBar: (progress) => bars.push(progress),
  updateStatusText: (step) => steps.push(step),
  console: console_,
})
Object.assign(found, { bars, steps, logged: [...logged] })

// 3. A batch
const scenes = [{ seconds: 0.1 }, { seconds: 0.2 }, { seconds: 0.3 }]
found.batch = await sample("batch.ts", { taskService, scenes, projectId: "documents", console: console_ }, "results")

// 4. Errors and retries
const waits = []
const noted = (action, delay) => {
  waits.push(delay)
  return faster(action, delay)
}
const withRetry = await sample("retries.ts", { taskService, console: console_, setTimeout: noted }, "generateVideoWithRetry")
found.first = await withRetry({ project_id: "documents" })
logged.length = 0
found.last = await withRetry({ project_id: "retried", fail: "PermanentError", message: "no such scene" }).catch(String)
found.attempts = logged.map(([, message]) => message)
found.waits = waits

// 5. What it looks at before it submits
const health = { taskServiceUrl: process.env.NEXT_PUBLIC_TASK_SERVICE_URL }
found.load = await sample("resources.ts", health, "{ queue_sizes, system_load }")

// The texts of its errors
const failure = (promise) => promise.then(() => undefined, (error) => error.message)
const cancelled = await taskService.submitTask({ project_id: "documents", task_type: "generate_image", task_data: { seconds: 60 } })
const waiting = failure(taskService.pollTaskUntilComplete(cancelled.task_id))
await fetch(`${health.taskServiceUrl}/api/v1/tasks/${cancelled.task_id}`, {
  method: "DELETE",
  headers: { "X-API-Key": process.env.CELERY_TASK_API_KEY },
})
found.errors = {
  submission: await failure(taskService.submitTask({ ...video({}), project_id: "" })),
  status: await failure(taskService.getTaskStatus("abc123")),
  failed: await failure(
    taskService.submitTask(video({ fail: "PermanentError", message: "no such scene" }))
      .then((task) => taskService.pollTaskUntilComplete(task.task_id)),
  ),
  cancelled: await waiting,
}
console.log(JSON.stringify(found))
