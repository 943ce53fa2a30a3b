// pages/api/webhooks/task-complete.ts
export default async function handler(req: NextApiRequest, res: NextApiResponse) {
  if (req.method !== 'POST') {
    return res.status(405).json({ error: 'Method not allowed' })
  }

  const { task_id, status, result, project_id } = req.body

  try {
    if (status === 'completed') {
      // Update project with completed media
      await updateProjectMedia(project_id, {
        task_id,
        media_url: result.media_url,
        payload_media_id: result.payload_media_id
      })
      
      // Notify user via WebSocket
      notifyUser(project_id, {
        type: 'task_completed',
        task_id,
        result
      })
      
    } else if (status === 'failed') {
      // Handle task failure
      await logTaskFailure(task_id, result.error)
      
      notifyUser(project_id, {
        type: 'task_failed',
        task_id,
        error: result.error
      })
    }

    res.status(200).json({ received: true })
  } catch (error) {
    console.error('Webhook processing error:', error)
    res.status(500).json({ error: 'Internal server error' })
  }
}
