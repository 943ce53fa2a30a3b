"""Speed, measured side by side: every claim is a ratio against a peer or a limit, taken in one run."""
