// Submit a batch of pictures, watch one come, and wait for all. genfleet-client is not on npm:
//     (cd /path/to/genfleet/clients/typescript && npm ci && npm run build)
//     npm install /path/to/genfleet/clients/typescript && node typescript_client.mjs
// Address and key: NEXT_PUBLIC_TASK_SERVICE_URL and CELERY_TASK_API_KEY. In TypeScript the same code is typed.
import { ApiError, taskService } from "genfleet-client"

const scenes = ["a red fox in the snow", "a lighthouse at night", "a market in the rain"]
const picture = (prompt) => ({
  project_id: "example",
  task_type: "generate_image",
  task_data: { prompt, resolution: "256x256" },
})

const task = await taskService.submitTask({ ...picture(scenes[0]), priority: 1 })
const end = await taskService.pollTaskUntilComplete(task.task_id, ({ status, progress, current_step }) => {
  console.log(status, `${Math.round((progress ?? 0) * 100)}%`, current_step ?? "")
})
console.log(end.result?.media_url)

for await (const event of taskService.events(task.task_id)) console.log(event.id, event.type, event.data.status ?? "")

const tasks = await Promise.all(scenes.map((scene) => taskService.submitTask(picture(scene))))
const ends = await Promise.all(tasks.map(({ task_id }) => taskService.pollTaskUntilComplete(task_id)))
console.log("all done:", ends.map(({ status }) => status).join(", "))

try {
  await taskService.submitTask({ ...picture(""), priority: 9 })
} catch (error) {
  if (!(error instanceof ApiError)) throw error
  console.log(error.message, error.details)
}
