"""APOGEE's catalogue: releases, missing columns, fillers."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from fastcannon.errors import FileFormatError, InputError
from fastcannon.surveys import apogee


def allstar(n=4, **changes):
    """A table with the columns of allStar, as in DR16."""
    values = np.arange(n, dtype=np.float32)
    table = Table(
        {
            "APOGEE_ID": [f"2M0000000{i}+7417074   " for i in range(n)],
            "TELESCOPE": ["apo25m  "] * n,
            "FIELD": [" 120+12"] * n,
            "RA": np.linspace(0.1, 300, n),
            "DEC": np.linspace(-80, 80, n),
            "SNR": 100 + values,
            "VHELIO_AVG": 10 + values,
            "VSCATTER": 0.3 + 0 * values,
            "VERR": 0.4 + 0 * values,
            "STARFLAG": np.full(n, 512, dtype=np.int32),
            "ASPCAPFLAG": np.full(n, 2**23, dtype=np.int32),
            "EXTRATARG": np.full(n, 16, dtype=np.int32),
            "TEFF": 4500 + values,
            "TEFF_ERR": 80 + values,
            "LOGG": np.linspace(1.0, 4.5, n).astype("f4"),
            "LOGG_ERR": 0.05 + values,
            "M_H": -0.1 * values,
            "M_H_ERR": 0.01 + values,
            "ALPHA_M": 0.1 * values,
            "ALPHA_M_ERR": 0.02 + values,
            "VMICRO": 1.0 + values,
            "VMACRO": 5.0 + values,
            "VSINI": 20.0 + values,
            "MG_FE": 0.2 + values,
            "MG_FE_ERR": 0.03 + values,
            "FE_H": 0.3 + values,
            "GAIA_SOURCE_ID": 2**60 + np.arange(n, dtype=np.int64),
            "GAIA_PMRA": 1.5 + values,
            "GAIA_PMDEC": -1.5 - values,
            "PARAM": np.tile(np.arange(9, dtype=np.float32) / 10, (n, 1)),
            "PARAM_COV": np.tile(np.diag(np.arange(9) / 1e4).astype("f4"), (n, 1, 1)),
            "ALL_VISITS": ["r12-6534-56583-256"] * n,
        }
    )
    for name, column in changes.items():
        if column is None:
            del table[name]
        else:
            table[name] = column
    return table


def write_allstar(folder, **changes):
    path = folder / "allStar.fits"
    tables = [allstar(**changes), Table({"LABEL": ["x"]})]
    hdus = [fits.PrimaryHDU(), *map(fits.table_to_hdu, tables)]
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return path


def test_catalogue_as_in_dr16(tmp_path):
    table = apogee.read_catalogue(write_allstar(tmp_path))
    assert table["id"][1] == "apo25m.120+12.2M00000001+7417074"
    assert table["star_id"][1] == "2M00000001+7417074"
    expected = {
        "ra": 100.066667,
        "pmra": 2.5,
        "pmdec": -2.5,
        "epoch": 2000.0,
        "teff": 4501.0,
        "e_teff": 81.0,
        "fe_h": -0.1,
        "e_fe_h": 1.01,
        "alpha_fe": 0.1,
        "vmicro": 2.0,
        "mg_fe": 1.2,
        "e_mg_fe": 1.03,
        "rv": 11.0,
        "e_rv": 0.5,
        "snr": 101.0,
        # errors of log10 v are 0.01 sqrt(2) and 0.01 sqrt(7)
        "e_vmicro": 2.0 * np.log(10) * 0.01 * 2**0.5,
        "e_vbroad": 6.0 * np.log(10) * 0.01 * 7**0.5,
    }
    for name, value in expected.items():
        assert table[name].dtype == np.float64
        assert table[name][1] == pytest.approx(value, rel=1e-6), name
    # log g 1.0, 2.2, 3.3, 4.5: macroturbulence of giants, rotation of the dwarf
    np.testing.assert_allclose(table["vbroad"], [5, 6, 7, 23])
    assert table["gaia_source_id"].dtype == np.int64
    assert table["gaia_source_id"][3] == 2**60 + 3
    assert table.meta["gaia_release"] == "DR2"
    assert [table[name].dtype for name in apogee.FLAGS] == [np.int64] * 3
    units = {"teff": "K", "ra": "deg", "pmra": "mas / yr", "rv": "km / s"}
    assert {name: str(table[name].unit) for name in units} == units
    assert str(table["e_vbroad"].unit) == "km / s"


def test_catalogue_as_in_dr17(tmp_path):
    file = write_allstar(
        tmp_path,
        GAIA_SOURCE_ID=None,
        GAIA_PMRA=None,
        GAIAEDR3_SOURCE_ID=np.array([0, 999999, 2**62 + 1, -9999]),
        GAIAEDR3_PMRA=np.array([np.nan, 2.0, 3.0, 4.0], dtype="f4"),
        TEFF=np.array([np.nan, 4500, 15000, 4600], dtype="f4"),
        ASPCAPFLAG=np.array([2**41, 2**63 - 1, -(2**63), 0]),
    )
    table = apogee.read_catalogue(file)
    assert table.meta["gaia_release"] == "EDR3"
    assert table["gaia_source_id"].tolist() == [0, 0, 2**62 + 1, 0]
    assert table["ASPCAPFLAG"].tolist() == [2**41, 2**63 - 1, -(2**63), 0]
    np.testing.assert_array_equal(table["teff"], [np.nan, 4500, 15000, 4600])
    np.testing.assert_array_equal(table["pmra"], [np.nan, 2, 3, 4])


def test_bit_31_of_a_short_flag_stays_alone(tmp_path):
    flag = np.array([-(2**31), -1, 2**30, 0], dtype=np.int32)
    table = apogee.read_catalogue(write_allstar(tmp_path, ASPCAPFLAG=flag))
    assert table["ASPCAPFLAG"].tolist() == [2**31, 2**32 - 1, 2**30, 0]
    assert apogee.FLAGS["ASPCAPFLAG"].names(table["ASPCAPFLAG"][0]) == [
        "NO_ASPCAP_RESULT"
    ]


def test_the_fastest_star_keeps_its_motion(tmp_path):
    motion = np.array([10362.39, 9999.99, -9999.0, np.inf], dtype="f4")
    table = apogee.read_catalogue(write_allstar(tmp_path, GAIA_PMDEC=motion))
    np.testing.assert_array_equal(table["pmdec"], [motion[0], *[np.nan] * 3])


def test_fillers_become_nan(tmp_path):
    filler = np.array([-9999.0, -9999.99, 9999.99, 1.0], dtype="f4")
    names = ("LOGG", "M_H", "VMICRO", "VHELIO_AVG", "VERR", "GAIA_PMRA", "SNR")
    changes = {name: filler for name in names}
    table = apogee.read_catalogue(
        write_allstar(
            tmp_path,
            **changes,
            TEFF_ERR=np.array([-1, -9999, 0, 5], dtype="f4"),
            RA=np.array([np.nan, -9999.0, 20.0, 30.0]),
        )
    )
    ours = ("logg", "fe_h", "vmicro", "e_vmicro", "rv", "e_rv", "pmra", "snr", "e_teff")
    for name in ours:
        assert np.isnan(table[name]).tolist() == [True, True, True, False], name
    # entries without a place stay; what cannot be matched is for the match to say
    assert np.isnan(table["ra"]).tolist() == [True, True, False, False]
    assert len(table) == 4 and np.isfinite(table["dec"]).all()


def test_broadening_is_taken_where_it_is(tmp_path):
    logg = np.array([1.0, 1.0, 4.5, 4.5], dtype="f4")
    vsini = np.array([-9999, 12, -9999, 13], dtype="f4")
    vmacro = np.array([4, -9999, 5, -9999], dtype="f4")
    file = write_allstar(tmp_path, LOGG=logg, VSINI=vsini, VMACRO=vmacro)
    table = apogee.read_catalogue(file)
    np.testing.assert_allclose(table["vbroad"], [4, 12, 5, 13])
    table = apogee.read_catalogue(file, columns={"vbroad": "10**PARAM[7]"})
    np.testing.assert_allclose(table["vbroad"], 10**0.7, rtol=1e-6)


def test_missing_columns_that_are_not_needed_are_nan(tmp_path):
    names = ("VMICRO", "VMACRO", "VSINI", "MG_FE", "VERR", "PARAM_COV", "GAIA_PMDEC")
    file = write_allstar(tmp_path, **dict.fromkeys(names), GAIA_SOURCE_ID=None)
    table = apogee.read_catalogue(file)
    np.testing.assert_allclose(table["vmicro"], 10**0.2, rtol=1e-6)  # PARAM[2]
    for name in ("vbroad", "mg_fe", "e_rv", "e_vmicro", "pmdec"):
        assert np.isnan(table[name]).all()
        assert table[name].description == "no value in this catalogue"
    assert not table["gaia_source_id"].any() and table.meta["gaia_release"] == ""


def test_gaia_ids_that_lost_their_digits_are_not_used(tmp_path):
    ids = (2.0**60 + np.arange(4)).astype(np.float64)
    table = apogee.read_catalogue(write_allstar(tmp_path, GAIA_SOURCE_ID=ids))
    assert table["gaia_source_id"].tolist() == [0] * 4
    assert table.meta["gaia_release"] == ""
    assert "digits are lost" in table["gaia_source_id"].description


def test_columns_can_be_named(tmp_path):
    file = write_allstar(tmp_path)
    columns = {"teff": "param[3]", "fe_h": "FE_H", "e_vmicro": "LOGG_ERR"}
    table = apogee.read_catalogue(file, columns=columns)
    np.testing.assert_allclose(table["teff"], 0.3, rtol=1e-6)
    np.testing.assert_allclose(table["fe_h"], 0.3 + np.arange(4), rtol=1e-6)
    np.testing.assert_allclose(table["e_vmicro"], 0.05 + np.arange(4), rtol=1e-6)


@pytest.mark.parametrize(
    "columns, message",
    [
        ({"teff": "TEF"}, r"no column TEF for teff; alike are TEFF, TEFF_ERR"),
        ({"teff": "PARAM[9]"}, r"no column PARAM\[9\] for teff; alike are PARAM"),
        ({"teff": "TEFF[0]"}, r"no column TEFF\[0\] for teff"),
        ({"teff": "TEFF-5777"}, r"no column TEFF-5777 for teff"),
        ({"teff": "TEFF / 2"}, r"is 'TEFF / 2'; expected NAME, NAME\[i\] or 10\*\*NAM"),
        (
            {"teff": "PARAM"},
            r"column PARAM holds float32 of shape \(4, 9\); expected on",
        ),
        ({"teff": "FIELD"}, r"column FIELD holds text .* expected one number per r"),
        ({"Teff": "TEFF"}, r"columns names 'Teff'; expected some of teff, e_teff"),
        ({"STARFLAG": "SNR"}, r"column SNR holds float32 .* expected integers for ST"),
    ],
)
def test_columns_that_cannot_be_used(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        apogee.read_catalogue(write_allstar(tmp_path), columns=columns)


def test_needed_columns(tmp_path):
    file = write_allstar(tmp_path, ALPHA_M=None)
    with pytest.raises(InputError) as error:
        apogee.read_catalogue(file)
    text = str(error.value)
    assert f"{file}, HDU 1: no column ALPHA_M or PARAM_ALPHA_M for alpha" in text
    assert "ALPHA_M_ERR" in text and "name the one to take in columns" in text
    file = write_allstar(tmp_path, EXTRATARG=None)
    with pytest.raises(InputError, match="no column EXTRATARG for EXTRATARG"):
        apogee.read_catalogue(file)


def test_catalogues_that_are_none(tmp_path):
    file = tmp_path / "allStar.fits"
    file.write_text("<html>404: not found</html>\n" * 200)
    with pytest.raises(
        FileFormatError, match=r"allStar.fits, HDU 1: no table can be read"
    ):
        apogee.read_catalogue(file)
    write_allstar(tmp_path)
    file.write_bytes(file.read_bytes()[: 2880 * 4])  # no row is left
    with pytest.raises(
        FileFormatError, match=r"allStar.fits, HDU 1: no table can be read"
    ):
        apogee.read_catalogue(file)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.ones(3))]).writeto(
        file, overwrite=True
    )
    with pytest.raises(FileFormatError, match=r"allStar.fits, HDU 1: no table; give"):
        apogee.read_catalogue(file)


def test_real_catalogue_of_dr12(data_dir):
    file = data_dir / "apogee" / "allStar-v603-hipparcos-rows.fits.gz"
    # PMRA became PMRA_2 when the rows were joined with Hipparcos
    table = apogee.read_catalogue(file, columns={"pmra": "PMRA_2"})
    assert len(table) == 3244
    missing = np.isnan(table["teff"])
    assert missing.sum() == 2471
    for name in ("logg", "fe_h", "alpha_fe", "e_teff", "e_logg", "mg_fe"):
        assert np.isnan(table[name][missing]).all()
    for name in ("logg", "fe_h", "alpha_fe", "e_teff", "e_logg", "vmicro"):
        assert np.isfinite(table[name][~missing]).all()
    assert np.isnan(table["mg_fe"][~missing]).sum() < 5  # 4
    assert (table["vmicro"][~missing].min(), table["vmicro"][~missing].max()) == (
        pytest.approx(1.178, abs=1e-3),
        pytest.approx(2.309, abs=1e-3),
    )
    assert np.isnan(table["vbroad"]).all()  # DR12 did not fit it
    assert table["id"][0] == "apo1m.hip.2M00003088+5933348"
    flags = apogee.FLAGS["ASPCAPFLAG"]
    none = (table["ASPCAPFLAG"] & flags.value("NO_ASPCAP_RESULT")) > 0
    assert none.sum() == 174 and missing[none].all()
    assert (table["ASPCAPFLAG"] >= 0).all()
    kept = np.ones(len(table), dtype=bool)
    for name, mask in apogee.FLAGS.items():
        kept &= (table[name] & mask.value(apogee.CUTS[name]["without"])) == 0
    assert 0 < (kept & ~missing).sum() < (~missing).sum()
