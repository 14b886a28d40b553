"""The sample files of every kind, made once."""

import pytest
from sample_files import make_samples


@pytest.fixture(scope="session")
def samples(tmp_path_factory):
    return make_samples(tmp_path_factory.mktemp("samples"))
