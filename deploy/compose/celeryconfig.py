"""How Flower reads our queues, as the workers do: which lists are one queue, and whose messages are left alone."""

import os
import sys

# Flower would let everybody in, and who is in may stop workers.
if not all(os.environ.get("FLOWER_BASIC_AUTH", "").partition(":")):
    sys.exit("FLOWER_BASIC_AUTH is empty, or no name:password: set it in .env")

task_ignore_result = True
broker_transport_options = {
    "priority_steps": [0, 1, 2, 3, 6, 9],
    "sep": "\x06\x16",
    "visibility_timeout": 86400,  # a watcher that thinks a message lost would hand it out once more
}
