// The API and the workers under PM2, by the names of the documents: pm2 logs celery-redis-api, pm2 restart celery-worker.
// `celery-worker` is a namespace: one process for each queue that has an engine.
//
//     set -a; . ./.env; set +a               # settings: a copy of .env.example
//     pm2 start deploy/pm2/ecosystem.config.js
//
// Processes inherit the environment of that shell; after a change: pm2 restart --update-env …

const { accessSync, constants } = require("node:fs");
const { homedir } = require("node:os");

// The documents' folder where this user may write to it, else PM2's own
const folder = (() => {
  try {
    accessSync("/var/log", constants.W_OK);
    return "/var/log";
  } catch {
    return `${process.env.PM2_HOME ?? `${homedir()}/.pm2`}/logs`;
  }
})();

const program = (name, which, script) => ({
  script,
  interpreter: "none",
  kill_timeout: 30_000,
  stop_exit_codes: [2], // wrong settings do not get better by trying again
  time: false, // the programs write the time themselves
  env: { GENFLEET_LOG_ERRORS_APART: "true" }, // pm2 logs --err shows errors and nothing else
  out_file: `${folder}/${name}-out-${which}.log`,
  error_file: `${folder}/${name}-error-${which}.log`,
});

const worker = (queue, concurrency, longest_task_s) => ({
  ...program("celery-worker", queue, "genfleet-worker"),
  // A few workers may answer `celery inspect` and Flower.
  env: { GENFLEET_LOG_ERRORS_APART: "true", GENFLEET_REMOTE_CONTROL: process.env.GENFLEET_REMOTE_CONTROL ?? "true" },
  name: `celery-worker-${queue}`,
  namespace: "celery-worker",
  args: ["--queue", queue, "--concurrency", String(concurrency), "--name", `celery-redis-worker-${queue}@%h`],
  treekill: false, // the worker is told to stop, and lets its tasks finish
  kill_timeout: (longest_task_s + 60) * 1000,
});

module.exports = {
  apps: [
    { ...program("celery-redis-api", "0", "genfleet-api"), name: "celery-redis-api" },
    worker("gpu_medium", 4, 300),
    worker("gpu_heavy", 2, 600),
    worker("cpu_intensive", 4, 600),
    worker("default", 8, 60),
  ],
};
