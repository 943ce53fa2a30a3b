"""Capacity on Kubernetes: a queue resource is watched, and as many workers run as its work needs."""
