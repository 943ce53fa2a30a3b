"""`genfleet-worker --queue gpu_medium`: a worker of one queue."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time

from pydantic import ValidationError

from genfleet import logs, traces
from genfleet.errors import ConfigurationError
from genfleet.store.redis_check import look_at_start
from genfleet.store.rights import Program
from genfleet_workers.app import run_worker
from genfleet_workers.artifacts import prove_writable
from genfleet_workers.scratch import remove_left
from genfleet_workers.settings import WorkerSettings


def main() -> int:
    """Parse the command line, read the settings, and work until told to stop."""
    try:
        settings = _settings()
        prove_writable(settings.media_dir)
    except ConfigurationError as error:
        sys.stderr.write(f"genfleet-worker: {error}\n")
        return 2
    logs.set_up(
        "worker",
        level=settings.log_level,
        style=settings.log_format,
        errors_apart=settings.log_errors_apart,
        worker=settings.worker_id,
        queue=settings.queue,
    )
    logging.captureWarnings(True)  # lines of the log, such as Celery's to who runs it as root
    traces.set_up("worker", os.environ)
    try:
        teller = look_at_start(settings.redis, Program.WORKER, time.time())
    except ConfigurationError as error:
        sys.stderr.write(f"genfleet-worker: {error}\n")
        return 2
    remove_left(settings.scratch_dir, time.time())
    return run_worker(settings, teller)


def _settings() -> WorkerSettings:
    """The command line counts before the environment."""
    parser = argparse.ArgumentParser(prog="genfleet-worker", description=__doc__)
    parser.add_argument("--queue", help="the queue to serve")
    parser.add_argument("--concurrency", type=int, help="tasks to run at once")
    parser.add_argument("--name", dest="worker_name", help="name of this worker, such as renderer-1@%%h")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    try:
        return WorkerSettings(**given)
    except ValidationError as error:
        raise ConfigurationError(WorkerSettings.explain(error)) from error


if __name__ == "__main__":
    raise SystemExit(main())
