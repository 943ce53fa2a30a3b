"""The API: takes tasks, tells how they are, and serves what they made."""
