"""How Flower reads our queues, as the workers do: which lists are one queue, and whose messages are left alone."""

task_ignore_result = True
broker_transport_options = {
    "priority_steps": [0, 1, 2, 3],
    "sep": "\x06\x16",
    "visibility_timeout": 86400,  # a watcher that thinks a message lost would hand it out once more
}
