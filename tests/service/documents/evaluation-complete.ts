// Handle webhook callback
export async function POST(req: Request) {
  const payload = await req.json();

  if (payload.status === 'completed') {
    const { rating, evaluation_result, evaluation_summary, issues, suggestions } = payload.result;

    // Update department status
    await updateDepartment({
      id: payload.metadata.department_id,
      rating,
      status: evaluation_result,
      summary: evaluation_summary,
      issues,
      suggestions
    });

    // Notify user
    await notifyUser(payload.metadata.user_id, {
      type: 'evaluation_complete',
      department: payload.result.department,
      rating,
      result: evaluation_result
    });
  }

  return Response.json({ received: true });
}
