#!/usr/bin/env bash
# Submit a picture, listen to it, and fetch the file: examples/curl.sh, in the folder of a `make up` that runs, or with the
# address and the key in the environment.
set -euo pipefail

field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
call() { curl --silent --show-error --fail-with-body -H "X-API-Key: $key" "$@"; }

url=${GENFLEET_URL:-$(field url < .genfleet/client.json)}
key=${GENFLEET_API_KEY:-$(field api_key < .genfleet/client.json)}

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
