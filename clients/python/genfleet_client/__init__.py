"""The client of the API, and the `genfleet` command line."""
