async function generateVideoWithRetry(sceneData: any, maxRetries = 3): Promise<any> {
  for (let attempt = 1; attempt <= maxRetries; attempt++) {
    try {
      const task = await taskService.submitTask({
        project_id: sceneData.project_id,
        task_type: "generate_video",
        task_data: sceneData
      })

      return await taskService.pollTaskUntilComplete(task.task_id)
      
    } catch (error) {
      console.error(`Attempt ${attempt} failed:`, error.message)
      
      if (attempt === maxRetries) {
        throw new Error(`Video generation failed after ${maxRetries} attempts`)
      }
      
      // Exponential backoff
      await new Promise(resolve => setTimeout(resolve, 1000 * Math.pow(2, attempt)))
    }
  }
}
