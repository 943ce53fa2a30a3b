"""`python -m genfleet_service`."""

from genfleet_service.main import main

raise SystemExit(main())
