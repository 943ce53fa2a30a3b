"""What the programs agree on: states, task types, the queue resource, keys and the words on the wire. Pure values."""
