// Submit task and store task_id for later checking
const task = await taskService.submitTask({
  project_id: "my_project",
  task_type: "generate_image",
  task_data: { /* ... */ },
  callback_url: "https://my-app.com/api/webhooks/task-complete"
})

// Store task_id in database for later reference
await database.updateProject(projectId, {
  pending_tasks: [...existingTasks, task.task_id]
})
