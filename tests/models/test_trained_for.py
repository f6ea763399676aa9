"""What weights say of the acquisition that they were trained for, and how far another one is from it."""

import json

import numpy as np
import pytest
from cases import ARRAY, GRID, PAIRED, SWEEP

from mimo import Acquisition, LayeredMedium
from mimo.models import load_weights
from mimo.models.trained_for import acquisition_from_table, acquisition_table, differences, far_from
from mimo.models.weight_files import WEIGHTS, load_description

MASKED = ARRAY.with_mask(np.arange(ARRAY.n_tx * ARRAY.n_rx).reshape(ARRAY.n_tx, ARRAY.n_rx) > 1)


@pytest.mark.parametrize("array", [ARRAY, PAIRED, MASKED], ids=["every pair", "list", "mask"])
@pytest.mark.parametrize("medium", [1.0, 4.0, LayeredMedium([0.2], [1, 4])], ids=str)
def test_an_acquisition_survives_the_file(array, medium):
    acquisition = Acquisition(array, SWEEP, GRID, medium)
    again = acquisition_from_table(json.loads(json.dumps(acquisition_table(acquisition))))
    assert differences(acquisition, again) == [] and far_from(acquisition, again) == []
    assert again.medium == medium and again.array.n_channel == array.n_channel


def test_another_mask_is_noticed():
    whole, masked = Acquisition(ARRAY, SWEEP, GRID), Acquisition(MASKED, SWEEP, GRID)
    assert differences(whole, masked) == differences(masked, whole) == ["a mask that leaves other channels"]
    every = ARRAY.with_mask(np.ones_like(MASKED.mask))
    assert differences(whole, Acquisition(every, SWEEP, GRID)) == []


def test_another_medium_is_noticed():
    air = Acquisition(ARRAY, SWEEP, GRID)
    wet, damp = air.replace(medium=8.0), air.replace(medium=1.1)
    assert differences(air, wet) == ["medium 8.0, expected 1.0"] and differences(air, damp) != []
    assert far_from(air, wet) == ["medium 8.0, trained in 1.0"] and far_from(air, damp) == []
    assert far_from(air, air.replace(medium=LayeredMedium([0.1], [1, 9]))) != []


def test_a_description_is_read_without_the_tensors():
    path = WEIGHTS / "two-stage.safetensors"
    assert load_description(path) == load_weights(path)[1]
    assert load_description(path)["method"]["kind"] == "unet"
