"""`genfleet-operator` with shorter times: lists every few seconds and, if asked for, a lease of seconds."""

from __future__ import annotations

import os

from genfleet_operator import applier, controller, kube, leader, reporter
from genfleet_operator.main import main

applier.ANOTHER_GONE_AFTER_S = 6.0
controller.RELIST_S = 3.0
kube.ANSWER_WITHIN_S = 5.0
reporter.NUMBERS_EVERY_S = 1.0
if "QUICK_LEASE" in os.environ:
    leader.DURATION_S = 3
    leader.RENEW_WITHIN_S = 2.0
    leader.PERIOD_S = 0.4

if __name__ == "__main__":
    raise SystemExit(main())
