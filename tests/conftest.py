"""Fixtures that several test files use."""

import os
from pathlib import Path

import pytest
from small_run import (  # noqa: F401  fixtures of the session
    done,
    small_surveys,
    training_stars,
)


@pytest.fixture(scope="session")
def data_dir():
    """Folder of real data; tests that need it are skipped where it is absent."""
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("FASTCANNON_TEST_DATA", default)).resolve()
    if not folder.is_dir():
        pytest.skip("no real data: set FASTCANNON_TEST_DATA to its folder")
    return folder
