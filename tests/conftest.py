"""Fixtures that several test files use."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from small_run import (  # noqa: F401  fixtures of the session
    done,
    small_surveys,
    training_stars,
)

# The same few examples in each run of the tests; many: --hypothesis-profile=long
_SAME = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
_PHASES = (Phase.explicit, Phase.generate)  # what fails is shown as it was found
settings.register_profile(
    "few", derandomize=True, max_examples=15, phases=_PHASES, **_SAME
)
settings.register_profile("long", max_examples=1000, **_SAME)
settings.load_profile("few")


@pytest.fixture(scope="session")
def data_dir():
    """Folder of real data; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("FASTCANNON_TEST_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip("no real data: set FASTCANNON_TEST_DATA to its folder")
    return folder
