"""Dashboards, recording rules and alerts, made from the contract of measures: `make generate` writes `deploy/monitoring`."""
