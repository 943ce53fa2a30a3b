"""The app for Celery's own commands: `celery -A genfleet_workers.celery_app inspect active_queues` (TS-121)."""

from genfleet_workers.app import create_app
from genfleet_workers.settings import WorkerSettings

app = create_app(WorkerSettings.load())
