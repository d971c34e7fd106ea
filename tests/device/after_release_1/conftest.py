"""Here `cloud` has published release 1, and `pi` runs it."""

import pytest
from device_bench import Cloud, Pi


@pytest.fixture
def cloud(cloud_of_one: Cloud) -> Cloud:
    return cloud_of_one


@pytest.fixture
def pi(pi_of_one: Pi) -> Pi:
    return pi_of_one
