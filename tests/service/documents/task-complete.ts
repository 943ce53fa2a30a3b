// pages/api/webhooks/task-complete.ts
import { NextApiRequest, NextApiResponse } from 'next'

export default async function handler(req: NextApiRequest, res: NextApiResponse) {
  // Only accept POST requests
  if (req.method !== 'POST') {
    return res.status(405).json({ error: 'Method not allowed' })
  }

  const { task_id, status, result, error, project_id, metadata } = req.body

  try {
    if (status === 'completed') {
      console.log(`✅ Task ${task_id} completed successfully`)

      // Update project with completed media
      await updateProjectMedia(project_id, {
        task_id,
        media_url: result.media_url,
        payload_media_id: result.payload_media_id,
        metadata: result.metadata
      })

      // Notify user via WebSocket or other real-time channel
      if (metadata?.userId) {
        await notifyUser(metadata.userId, {
          type: 'task_completed',
          task_id,
          project_id,
          result
        })
      }

      // Update test result if applicable
      if (metadata?.testResultId) {
        await updateTestResult(metadata.testResultId, {
          status: 'completed',
          media_url: result.media_url
        })
      }

    } else if (status === 'failed') {
      console.error(`❌ Task ${task_id} failed:`, error)

      // Log task failure
      await logTaskFailure(task_id, {
        project_id,
        error,
        metadata
      })

      // Notify user of failure
      if (metadata?.userId) {
        await notifyUser(metadata.userId, {
          type: 'task_failed',
          task_id,
          project_id,
          error
        })
      }

      // Update test result with failure
      if (metadata?.testResultId) {
        await updateTestResult(metadata.testResultId, {
          status: 'failed',
          error
        })
      }
    }

    // Always respond with 200 to acknowledge receipt
    res.status(200).json({ received: true })

  } catch (error) {
    console.error('Webhook processing error:', error)
    res.status(500).json({ error: 'Internal server error' })
  }
}
