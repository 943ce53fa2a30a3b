"""`python -m genfleet_workers`."""

from genfleet_workers.main import main

raise SystemExit(main())
