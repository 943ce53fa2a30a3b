// The client against a running service, which the environment names. `make test` starts one, with a worker whose engines do
// what `task_data` says: `seconds` of work, then `fail` with the name of an error.
import assert from "node:assert/strict"
import { test } from "node:test"
import { ApiError, TaskCancelled, TaskFailed, TaskService, taskService } from "../dist/index.js"

const image = (task_data = {}, project_id = "ts") => ({ project_id, task_type: "generate_image", task_data })
/** Waits for a worker that is not there. */
const video = (project_id = "ts") => ({ project_id, task_type: "generate_video", task_data: {} })
const ids = async (list) => (await Array.fromAsync(list)).map((each) => each.task_id)
Array.fromAsync ??= async (source) => {
  const all = []
  for await (const each of source) all.push(each)
  return all
}

/** A service whose requests go through `through`, which gets the real fetch. */
const service = (through, retries = {}) =>
  new TaskService({ retries: { patience: 2000, ...retries }, fetch: (input, init) => through(fetch, input, init) })

/** Does something else to the first requests whose path ends so, one thing each. */
const tricks = (end, ...todo) => {
  const seen = []
  const through = async (send, url, init) => {
    seen.push(`${init.method} ${url.pathname}`)
    const trick = url.pathname.endsWith(end) ? todo.shift() : undefined
    return trick ? trick(send, url, init) : send(url, init)
  }
  return [through, seen]
}
const losesTheAnswer = async (send, url, init) => {
  await send(url, init)
  throw new TypeError("terminated")
}
const cutsAfter = (size) => async (send, url, init) => {
  const response = await send(url, init)
  let left = size
  const cut = new TransformStream({
    transform(part, controller) {
      controller.enqueue(part.slice(0, left))
      left -= part.length
      if (left <= 0) controller.error(new TypeError("terminated"))
    },
  })
  return new Response(response.body.pipeThrough(cut), response)
}
const answers = (status, body, headers = {}) => async () => new Response(body, { status, headers })

test("a task is submitted and followed to its result", async () => {
  const task = await taskService.submitTask(image({ seconds: 0.5 }))
  assert.equal(task.status, "queued")
  const seen = []
  const end = await taskService.pollTaskUntilComplete(task.task_id, (status) => seen.push(status), 100)
  assert.equal(end.status, "completed")
  assert.match(end.result.media_url, /\.txt$/)
  assert.deepEqual(seen.at(-1), end)
  assert.deepEqual(end, await taskService.getTaskStatus(task.task_id))
  const progress = seen.map((status) => status.progress ?? 0)
  assert.deepEqual(progress, progress.toSorted((a, b) => a - b))
})

test("a failed task throws its error, and is not submitted again", async () => {
  const task = await taskService.submitTask(image({ fail: "PermanentError", message: "no such style" }, "ts-failed"))
  await assert.rejects(taskService.pollTaskUntilComplete(task.task_id), (error) => {
    assert.ok(error instanceof TaskFailed)
    assert.match(error.message, /no such style/)
    return error.message === error.status.error
  })
  assert.deepEqual(await ids(taskService.allTasks("ts-failed")), [task.task_id])
})

test("a cancelled task throws, and is retried under a new id", async () => {
  const task = await taskService.submitTask(video())
  assert.equal((await taskService.cancelTask(task.task_id)).previous_state, "queued")
  await assert.rejects(taskService.pollTaskUntilComplete(task.task_id), (error) => {
    return error instanceof TaskCancelled && error.message === "Task was cancelled" && error.status.status === "cancelled"
  })
  const again = await taskService.retryTask(task.task_id)
  assert.equal(again.original_task_id, task.task_id)
  assert.equal((await taskService.getTask(again.new_task_id)).retry_of, task.task_id)
})

test("refusals have the documented texts, and the service's own beside them", async () => {
  await assert.rejects(taskService.submitTask({ ...video(), priority: 9 }), (error) => {
    assert.ok(error instanceof ApiError)
    assert.equal(error.message, "Task submission failed: Bad Request")
    assert.deepEqual([error.status, error.error], [400, "validation_error"])
    assert.match(String(error), /^ApiError: .*: Bad Request \(Invalid task data: priority: Priority must be 1/)
    return error.details.priority === "Priority must be 1 (high), 2 (normal) or 3 (low)"
  })
  await assert.rejects(taskService.getTaskStatus("a/b?"), { message: "Failed to get task status: Not Found" })
  await assert.rejects(taskService.pollTaskUntilComplete("abc"), { message: "Failed to get task status: Not Found" })
  const stranger = new TaskService({ apiKey: "wrong" })
  await assert.rejects(stranger.queues(), { status: 401, reason: "Invalid or missing API key" })
})

test("events come once each, over a connection that is cut", async () => {
  const [through, seen] = tricks("/events", cutsAfter(900), cutsAfter(10))
  const client = service(through)
  const task = await client.submitTask(image({ seconds: 0.6 }))
  const events = await Array.fromAsync(client.events(task.task_id))
  assert.deepEqual(events.map((event) => Number(event.id)), events.map((_, index) => index))
  assert.equal(events.at(-1).data.task.status, "completed")
  assert.equal(seen.filter((path) => path.endsWith("/events")).length, 3)
  assert.deepEqual(await Array.fromAsync(client.events(task.task_id, { lastEventId: events[1].id })), events.slice(2))
  assert.deepEqual(await Array.fromAsync(client.events(task.task_id, { lastEventId: 1 })), events.slice(2))
  assert.deepEqual(await Array.fromAsync(client.events(task.task_id, { lastEventId: events.at(-1).id })), [])
})

test("a task is followed by its events, and not by asking", async () => {
  const [through, seen] = tricks("")
  const client = service(through)
  const task = await client.submitTask(image({ seconds: 1 }))
  await client.pollTaskUntilComplete(task.task_id, undefined, 20)
  assert.ok(seen.length <= 6, seen.join("\n"))
})

test("where there is no stream it is looked at", async () => {
  const refused = answers(404, '{"error": "not_found", "message": "There is nothing here"}')
  const [through, seen] = tricks("/events", refused)
  const client = service(through)
  const task = await client.submitTask(image({ seconds: 0.3 }))
  assert.equal((await client.pollTaskUntilComplete(task.task_id, undefined, 100)).status, "completed")
  assert.equal(seen.filter((path) => path.endsWith("/events")).length, 1)
})

test("a lost answer makes no second task", async () => {
  const [through, seen] = tricks("/submit", losesTheAnswer, answers(503, "<html>no upstream</html>"))
  const task = await service(through).submitTask(video("ts-lost"))
  assert.equal(seen.length, 3)
  assert.deepEqual(await ids(taskService.allTasks("ts-lost")), [task.task_id])
})

test("a lost answer to a retry makes no second one", async () => {
  const task = await taskService.submitTask(video("ts-retry"))
  await taskService.cancelTask(task.task_id)
  const [through, seen] = tricks("/retry", losesTheAnswer)
  const { new_task_id } = await service(through).retryTask(task.task_id)
  assert.equal(seen.length, 2)
  assert.deepEqual((await ids(taskService.allTasks("ts-retry"))).toSorted(), [task.task_id, new_task_id].toSorted())
  assert.deepEqual(await taskService.getDeliveries(task.task_id), [])
})

test("what was set aside is seen and seen to", async () => {
  assert.equal((await taskService.quarantine({ project_id: "ts-ward", limit: 5 })).pagination.limit, 5)
  assert.equal((await taskService.retryQuarantined({ project_id: "ts-ward", dry_run: true })).matched, 0)
  await assert.rejects(taskService.releaseTask("nobody"), { status: 404 })
  assert.deepEqual((await taskService.deadLetters({ status: "resent" })).dead_letters, [])
  for (const act of ["deadLetter", "resendLetter", "removeLetter"]) {
    await assert.rejects(taskService[act](99), { status: 404, error: "dead_letter_not_found" })
  }
  assert.equal((await taskService.resendLetters({ queue: "gpu_medium", dry_run: true })).matched, 0)
  assert.equal((await taskService.removeLetters({ dry_run: true })).done, 0)
})

test("a limit is waited for, and told when it stays", async () => {
  const limit = answers(429, '{"error": "rate_limit_exceeded", "message": "Too many", "retry_after": 1}', { "Retry-After": "1" })
  const [through, seen] = tricks("/queues", limit)
  assert.equal((await service(through).queues()).length, 4)
  assert.equal(seen.length, 2)
  const patience = { limitPatience: 500 }
  await assert.rejects(service(tricks("/queues", limit)[0], patience).queues(), { status: 429, retryAfter: 1 })
})

test("parts of a batch wait for a limit, and are told when it stays", async () => {
  const refused = (index, retry_after) => ({ index, task: null, error: { status: 429, error: "rate_limit_exceeded", retry_after } })
  const limited = (retry_after) => async (send, url, init) => {
    const { tasks } = JSON.parse(init.body)
    const response = await send(url, { ...init, body: JSON.stringify({ tasks: tasks.slice(0, 1) }) })
    const body = await response.json()
    return Response.json({ ...body, refused: 1, results: [...body.results, refused(1, retry_after)] })
  }
  const [through, seen] = tricks("/batch", limited(1))
  const { results } = await service(through).submitBatch([video("ts-batch"), video("ts-batch")])
  const made = results.map(({ task }) => task.task_id)
  assert.deepEqual((await ids(taskService.allTasks("ts-batch"))).toSorted(), made.toSorted())
  assert.equal(seen.length, 2)
  for (const todo of [[limited(300)], [limited(1), answers(500, '{"error": "internal_error"}')]]) {
    const answer = await service(tricks("/batch", ...todo)[0]).submitBatch([video("ts-batch"), video("ts-batch")])
    assert.deepEqual([answer.accepted, answer.refused], [1, 1])
  }
})

test("a list is read page by page, with filters", async () => {
  const made = []
  for (let index = 0; index < 5; index += 1) made.unshift((await taskService.submitTask(video("ts list/1"))).task_id)
  await taskService.cancelTask(made[4])
  assert.deepEqual((await ids(taskService.allTasks("ts list/1", { limit: 2 }))).toSorted(), made.toSorted())
  assert.deepEqual(await ids(taskService.allTasks("ts list/1", { status: "cancelled" })), [made[4]])
  const page = await taskService.listTasks("ts list/1", { page: 3, limit: 2 })
  assert.deepEqual(page.pagination, { page: 3, limit: 2, total: 5, total_pages: 3 })
})

test("all of a project is cancelled, submitted again and counted", async () => {
  for (let index = 0; index < 2; index += 1) await taskService.submitTask(video("ts-all"))
  assert.equal((await taskService.cancelTasks("ts-all", { dry_run: true })).matched, 2)
  assert.equal((await taskService.cancelTasks("ts-all", { status: "queued" })).done, 2)
  assert.equal((await taskService.retryTasks("ts-all", { status: "cancelled" })).done, 2)
  assert.equal((await taskService.usage("ts-all")).total.cancelled, 2)
})

test("whoever waits can stop, and the task goes on", async () => {
  const task = await taskService.submitTask(video())
  const stop = AbortSignal.timeout(300)
  await assert.rejects(taskService.pollTaskUntilComplete(task.task_id, undefined, 100, { signal: stop }), {
    name: "TimeoutError",
  })
  assert.equal((await taskService.getTaskStatus(task.task_id)).status, "queued")
})

test("numbers are those of the API", async () => {
  assert.equal((await taskService.health()).status, "healthy")
  assert.ok((await taskService.metrics()).total_tasks > 0)
  assert.ok((await taskService.queueHealth()).alerts)
  assert.deepEqual((await taskService.workers()).map((worker) => worker.queue), ["gpu_medium"])
  assert.equal((await taskService.pauseQueue("default", "a test")).paused.reason, "a test")
  assert.equal((await taskService.resumeQueue("default")).paused, null)
})
