"""The HTTP routes, a router a subject. `genfleet_service.app` mounts every one of them, or fails to start (TS-174)."""
