// Submit task and poll for updates
const task = await taskService.submitTask(taskData)

const finalResult = await taskService.pollTaskUntilComplete(
  task.task_id,
  (status) => {
    // Update UI with progress
    updateProgressBar(status.progress)
    updateStatusText(status.current_step)
  }
)

// Use final result
console.log('Video generated:', finalResult.result.media_url)
