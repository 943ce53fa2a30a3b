"""What the programs of genfleet agree on. Imports no framework and no program."""
