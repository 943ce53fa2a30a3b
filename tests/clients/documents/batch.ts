// Submit multiple tasks
const taskPromises = scenes.map(scene => 
  taskService.submitTask({
    project_id: projectId,
    task_type: "generate_video",
    task_data: scene
  })
)

const tasks = await Promise.all(taskPromises)

// Wait for all to complete
const results = await Promise.all(
  tasks.map(task => taskService.pollTaskUntilComplete(task.task_id))
)

console.log('All scenes generated:', results.length)
