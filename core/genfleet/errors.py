"""What can go wrong, as types."""

# Who raises them, and who catches them:
#
#   GenfleetError
#   ├── ConfigurationError     refused at start: a setting or resource that cannot work (caught in each main)
#   ├── StoreUnavailable       Redis did not answer; nothing is known, nothing was half done (API: 503; fleet: hold)
#   └── TaskError              raised by engines, caught by the worker, which settles the task
#       ├── TransientError     worth another attempt: a connection, a timeout, a resource that will be free again
#       └── PermanentError     another attempt gives the same answer: no permission, not found, a tool that failed
#           └── InputError     what was submitted cannot be done

from __future__ import annotations


class GenfleetError(Exception):
    """Base of everything this project raises on purpose."""


class ConfigurationError(GenfleetError):
    """A setting or resource that cannot work. The message names the field and the remedy."""


class StoreUnavailable(GenfleetError):
    """Redis could not be reached or did not answer in time. Never to be read as "nothing there"."""


class TaskError(GenfleetError):
    """A task could not be done. The message is shown to the person who submitted it."""


class TransientError(TaskError):
    """Try again later: the worker retries by the schedule of the task type (TS-110, TS-111)."""


class PermanentError(TaskError):
    """Do not try again (TS-112)."""


class InputError(PermanentError):
    """What was submitted cannot be done. Counted apart: nobody has to mend an engine for it."""
