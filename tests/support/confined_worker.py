"""A real worker in a control group with little memory, whose folder GENFLEET_TEST_GROUP names."""

from __future__ import annotations

import os
from pathlib import Path

from genfleet_workers.main import main

if __name__ == "__main__":
    (Path(os.environ["GENFLEET_TEST_GROUP"]) / "cgroup.procs").write_text(str(os.getpid()))
    raise SystemExit(main())
