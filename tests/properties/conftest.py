"""How hard hypothesis looks. `HOLDGATE_EXAMPLES=5000 pytest tests/properties` looks harder."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile(
    "holdgate",
    max_examples=int(os.environ.get("HOLDGATE_EXAMPLES", "100")),
    deadline=None,  # a shared machine is slow at times, which is no defect
    derandomize="CI" in os.environ,  # a change is not held up by what another one did
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("holdgate")
