"""Air and vacuum: published pairs, the inverse, and what is refused."""

import numpy as np
import pytest

from fastcannon.errors import InputError
from fastcannon.wavelengths import air_to_vacuum, convert, vacuum_to_air

# Balmer lines and [O III], [N II], [S II] as SDSS lists them in air and in vacuum.
AIR = np.array([4861.363, 4958.911, 5006.843, 6548.05, 6562.801, 6583.45, 6716.44])
VACUUM = np.array([4862.721, 4960.295, 5008.239, 6549.86, 6564.614, 6585.27, 6718.29])


def test_published_pairs():
    # measured: 0.0043 A, the rounding of the last pair; air and vacuum differ by 1.8 A
    np.testing.assert_allclose(air_to_vacuum(AIR), VACUUM, atol=0.005)
    np.testing.assert_allclose(vacuum_to_air(VACUUM), AIR, atol=0.005)
    assert abs(air_to_vacuum(6562.801) - 6564.614) < 1e-4  # measured: 3e-5
    assert abs(air_to_vacuum(4861.363) - 4862.721) < 1e-4
    # the example of the IDL astronomy library: 2000.000 in vacuum is 1999.353 in air
    assert abs(vacuum_to_air(2000.0001) - 1999.353) < 6e-4


def test_agrees_with_the_formula_of_morton():
    vacuum = np.linspace(4700, 17000, 500)
    squared = (1e4 / vacuum) ** 2
    index = 1 + 8.34254e-5 + 0.02406147 / (130 - squared) + 1.5998e-4 / (38.9 - squared)
    away = abs(vacuum_to_air(vacuum) - vacuum / index)
    assert away.max() < 1e-4  # measured: 9e-5 A


def test_there_and_back():
    vacuum = np.geomspace(2001, 25000, 1000)
    # measured: 4e-12 A
    np.testing.assert_allclose(
        air_to_vacuum(vacuum_to_air(vacuum[10:])), vacuum[10:], atol=1e-9
    )
    assert (np.diff(vacuum_to_air(vacuum)) > 0).all()


def test_convert_by_name():
    np.testing.assert_array_equal(convert(AIR, "air", "vacuum"), air_to_vacuum(AIR))
    np.testing.assert_array_equal(convert(AIR, "vacuum", "air"), vacuum_to_air(AIR))
    np.testing.assert_array_equal(convert(AIR, "air", "air"), AIR)
    assert air_to_vacuum([[5000, 6000]]).shape == (1, 2)
    with pytest.raises(InputError, match="wavelength has type"):
        convert(["5000"], "air", "air")


@pytest.mark.parametrize("wrong", [1999.0, 2000.0, 0.5, -5000.0, np.nan, np.inf])
def test_wavelengths_that_cannot_be_meant_are_refused(wrong):
    for function in (air_to_vacuum, vacuum_to_air):
        with pytest.raises(InputError, match=r"1 wavelengths .* not above 2000"):
            function([5000, wrong])


def test_other_media_are_refused():
    with pytest.raises(InputError, match="medium is 'water'"):
        convert(AIR, "air", "water")
