#!/bin/bash
# Workers in a terminal, by the command of the documents. Ctrl-C ends them once their tasks are done.
#
#     deploy/pm2/start_celery.sh             everything below
#     deploy/pm2/start_celery.sh worker      one worker for each queue that has an engine
#     deploy/pm2/start_celery.sh flower      Flower on http://localhost:5555, which pip install -r deploy/compose/flower.txt brings
#
# `beat` and `test` come with the scheduler.
set -euo pipefail
set -m # a process group for each program, or Ctrl-C would reach them beside the signal from here

worker() {
    export GENFLEET_REMOTE_CONTROL=${GENFLEET_REMOTE_CONTROL:-true} # for Flower and `celery inspect`
    genfleet-worker --queue gpu_medium --concurrency 4 --name celery-redis-worker-gpu_medium@%h &
    genfleet-worker --queue gpu_heavy --concurrency 2 --name celery-redis-worker-gpu_heavy@%h &
    genfleet-worker --queue cpu_intensive --concurrency 4 --name celery-redis-worker-cpu_intensive@%h &
    genfleet-worker --queue default --concurrency 8 --name celery-redis-worker-default@%h &
}

flower() {
    # Without it Flower lets everybody in, and who is in may stop workers.
    if [[ ${FLOWER_BASIC_AUTH:-} != ?*:?* ]]; then
        echo "FLOWER_BASIC_AUTH is not set: Flower asks for name:password" >&2
        exit 1
    fi
    export FLOWER_BASIC_AUTH
    celery -A genfleet_workers.celery_app flower --address=127.0.0.1 --port=5555 &
}

case ${1:-all} in
    all) flower; worker ;;
    worker) worker ;;
    flower) flower ;;
    *) echo "start_celery.sh: worker, flower, or nothing for both" >&2; exit 2 ;;
esac
trap 'kill $(jobs -p) 2>/dev/null || true' INT TERM
# A signal ends one wait, not the programs.
while [ -n "$(jobs -pr)" ]; do wait || true; done
