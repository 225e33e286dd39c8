"""The named bit masks: bits, values, names."""

import pytest

from fastcannon.errors import InputError
from fastcannon.surveys import bitmasks

MASKS = [
    bitmasks.STARFLAG,
    bitmasks.ASPCAPFLAG,
    bitmasks.APOGEE_PIXMASK,
    bitmasks.EXTRATARG,
    bitmasks.FLAG_SP,
    bitmasks.REDUCTION_FLAGS,
]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: mask.name)
def test_names_and_value_undo_each_other(mask):
    names = mask.names(mask.value(mask.bits))
    assert sorted(names) == sorted(mask.bits)
    assert [mask.bits[name] for name in names] == sorted(set(mask.bits.values()))
    for name, bit in mask.bits.items():
        assert mask.value(name) == 1 << bit and mask.names(1 << bit) == [name]
    assert mask.names(0) == [] and mask.value([]) == 0
    assert mask.source


# What the surveys' own pages give, written once more and as numbers.
@pytest.mark.parametrize(
    "mask, name, bit",
    [
        (bitmasks.STARFLAG, "BAD_PIXELS", 0),
        (bitmasks.STARFLAG, "VERY_BRIGHT_NEIGHBOR", 3),
        (bitmasks.STARFLAG, "PERSIST_HIGH", 9),
        (bitmasks.STARFLAG, "SUSPECT_BROAD_LINES", 17),
        (bitmasks.STARFLAG, "MTPFLUX_LT_50", 25),
        (bitmasks.ASPCAPFLAG, "M_H_BAD", 19),
        (bitmasks.ASPCAPFLAG, "STAR_BAD", 23),
        (bitmasks.ASPCAPFLAG, "NO_ASPCAP_RESULT", 31),
        (bitmasks.ASPCAPFLAG, "MULTIPLE_SUSPECT", 41),
        (bitmasks.APOGEE_PIXMASK, "NOSKY", 7),
        (bitmasks.APOGEE_PIXMASK, "SIG_TELLURIC", 13),
        (bitmasks.EXTRATARG, "DUPLICATE", 4),
        (bitmasks.FLAG_SP, "HIGH_CHI2", 7),
        (bitmasks.FLAG_SP, "GRID_LIMIT", 10),
        (bitmasks.REDUCTION_FLAGS, "BAD_TRACE_IR", 3),
        (bitmasks.REDUCTION_FLAGS, "BAD_WAVELENGTH_BLUE", 4),
        (bitmasks.REDUCTION_FLAGS, "CROSS_TALK_RED", 10),
        (bitmasks.REDUCTION_FLAGS, "NO_RV", 16),
        (bitmasks.REDUCTION_FLAGS, "SINGLE_OBJECT", 19),
    ],
)
def test_bits_are_those_of_the_surveys(mask, name, bit):
    assert mask.bits[name] == bit


def test_galah_reduction_flags_agree_with_their_description(data_dir):
    text = data_dir / "galah_dr6" / "documentation" / "flags_description.txt"
    lines = [line.split("\t") for line in text.read_text().splitlines()]
    described = {int(line[0]): line[2] for line in lines if line[0].isdigit()}
    words = {
        "BAD_TRACE": "Trace",
        "BAD_WAVELENGTH": "wavelength",
        "CROSS_TALK": "Cross-talk",
        "NO_RV": "Radial velocity",
        "NO_PARAMETERS": "parameters",
        "HIGH_RESOLUTION": "High-resolution",
        "SINGLE_OBJECT": "only one object",
    }
    bits = bitmasks.REDUCTION_FLAGS.bits
    assert sorted(described) == sorted(bits.values())
    for name, bit in bits.items():
        what, _, arm = name.rpartition("_")
        if what in words:
            assert words[what] in described[bit]
            assert f" {arm.lower()} CCD" in described[bit].replace(" IR ", " ir ")
        else:
            assert words[name] in described[bit]


def test_values_take_one_name_or_several_in_any_case():
    mask = bitmasks.STARFLAG
    assert mask.value("low_snr") == 16
    assert mask.value(["LOW_SNR", "BAD_PIXELS", "LOW_SNR"]) == 17
    assert mask.names(2**63 + 17) == ["BAD_PIXELS", "LOW_SNR"]


def test_unknown_names_are_refused_with_those_that_are_close():
    with pytest.raises(InputError, match=r"STARFLAG has no flag 'PERSIST_HI'") as error:
        bitmasks.STARFLAG.value(["BAD_PIXELS", "PERSIST_HI"])
    assert "did you mean PERSIST_HIGH" in str(error.value)
    assert "SUSPECT_BROAD_LINES" in str(error.value)  # all there are
    with pytest.raises(InputError, match=r"no flag 4; It has BAD_PIXELS"):
        bitmasks.STARFLAG.value([4])
