"""genfleet on one machine: an embedded Redis, the API, and workers as local processes. `genfleet up`."""
