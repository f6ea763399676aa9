"""Files with every field of the schema."""

import pytest
from data_samples import make_measurement, make_reconstructions

from mimo.data import save


@pytest.fixture(scope="session")
def valid_bytes(tmp_path_factory):
    """Bytes of a file with every field: of an array of every pair (False) and of a paired one (True)."""
    path, result = tmp_path_factory.mktemp("valid") / "valid.h5", {}
    for paired in (False, True):
        measurement = make_measurement(paired)
        save(path, measurement, reconstructions=make_reconstructions(measurement))
        result[paired] = path.read_bytes()
    return result


@pytest.fixture
def saved(tmp_path, valid_bytes, request):
    """Such a file, to be spoiled; of a paired array where the test asks for it with True."""
    path = tmp_path / "valid.h5"
    path.write_bytes(valid_bytes[getattr(request, "param", False)])
    return path
