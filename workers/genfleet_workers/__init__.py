"""The workers: take tasks from a queue, run their engines, settle what came of it."""
