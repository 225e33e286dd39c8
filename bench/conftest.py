"""Benchmarks run when they are asked for; their records say with which versions."""

import importlib.metadata

import pytest

PACKAGES = ("numba", "numpy", "scipy")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    # setup.cfg disables benchmarks, which --benchmark-only would take for an error
    if config.option.benchmark_only:
        config.option.benchmark_enable = True


def pytest_benchmark_update_machine_info(config, machine_info):
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    machine_info["versions"] = versions
