// The API and the workers under PM2, by the names of the documents: pm2 logs celery-redis-api, pm2 restart celery-worker.
// `celery-worker` is a namespace: one process for each queue that has an engine.
//
//     set -a; . ./.env; set +a               # settings: a copy of .env.example
//     pm2 start deploy/pm2/ecosystem.config.js
//
// Processes inherit the environment of that shell; after a change: pm2 restart --update-env …

const program = {
  interpreter: "none",
  kill_timeout: 30_000,
  stop_exit_codes: [2], // wrong settings do not get better by trying again
  time: false, // the programs write the time themselves
};

const worker = (queue, concurrency, longest_task_s) => ({
  ...program,
  name: `celery-worker-${queue}`,
  namespace: "celery-worker",
  script: "genfleet-worker",
  args: ["--queue", queue, "--concurrency", String(concurrency), "--name", `celery-redis-worker-${queue}@%h`],
  treekill: false, // the worker is told to stop, and lets its tasks finish
  kill_timeout: (longest_task_s + 60) * 1000,
});

module.exports = {
  apps: [
    { ...program, name: "celery-redis-api", script: "genfleet-api" },
    worker("gpu_medium", 4, 300),
    worker("gpu_heavy", 2, 600),
    worker("cpu_intensive", 4, 600),
    worker("default", 8, 60),
  ],
};
