#!/usr/bin/env bash
# Submit a picture, listen to it, and fetch the file: examples/curl.sh, with the address and the key in the environment.
set -euo pipefail
url=${GENFLEET_URL:-http://localhost:8001}
key=${GENFLEET_API_KEY:-$(cat .genfleet/api_key)}

call() { curl --silent --show-error --fail-with-body -H "X-API-Key: $key" "$@"; }
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# The key of its own makes it safe to send again: the same task is answered, and no second one is made.
task=$(call -H "Idempotency-Key: $(date +%s%N)-$$" -H 'Content-Type: application/json' "$url/api/v1/tasks/submit" -d '{
    "project_id": "example",
    "task_type": "generate_image",
    "task_data": {"prompt": "a red fox in the snow", "resolution": "256x256"}
}' | field task_id)
echo "task $task"

call --no-buffer "$url/api/v1/tasks/$task/events"       # ends by itself, after the event that ends the task
call "$url/api/v1/tasks/$task/status"
echo

file=$(call "$url/api/v1/tasks/$task/status" | field media_url)
echo "$file"
