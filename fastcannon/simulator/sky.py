"""Positions on the sky: epochs, Galactic coordinates, names, the Earth's motion."""

import numpy as np

from .parameters import parameters

# North Galactic pole and the Galactic longitude of the celestial pole, rad (J2000).
POLE_RA, POLE_DEC, NODE = np.radians((192.85948, 27.12825, 122.93192))


def positions_at(stars, epoch):
    """Return ra, dec (deg) of stars at another epoch.

    Parameters
    ----------
    stars : astropy Table
        ra, dec (deg, epoch 2016.0), pmra, pmdec (mas/yr).
    epoch : float
        Julian year.
    """
    degrees = (epoch - parameters()["galaxy"]["epoch"]) / 3.6e6
    ra, dec = np.asarray(stars["ra"]), np.asarray(stars["dec"])
    moved = ra + degrees * np.asarray(stars["pmra"]) / np.cos(np.radians(dec))
    dec = np.clip(dec + degrees * np.asarray(stars["pmdec"]), -90.0, 90.0)
    return moved % 360.0, dec


def galactic(ra, dec):
    """Return Galactic longitude and latitude of positions.

    Parameters
    ----------
    ra, dec : (S,) array, deg
    """
    ra, dec = np.radians(ra), np.radians(dec)
    sine = np.sin(dec) * np.sin(POLE_DEC)
    sine += np.cos(dec) * np.cos(POLE_DEC) * np.cos(ra - POLE_RA)
    across = np.cos(dec) * np.sin(ra - POLE_RA)
    along = np.cos(POLE_DEC) * np.sin(dec)
    along -= np.sin(POLE_DEC) * np.cos(dec) * np.cos(ra - POLE_RA)
    longitude = np.degrees(NODE - np.arctan2(across, along)) % 360.0
    return longitude, np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def declination(longitude, latitude):
    """Return the declination (deg) of Galactic directions.

    Parameters
    ----------
    longitude, latitude : array, rad
    """
    sine = np.sin(POLE_DEC) * np.sin(latitude)
    sine += np.cos(POLE_DEC) * np.cos(latitude) * np.cos(NODE - longitude)
    return np.degrees(np.arcsin(np.clip(sine, -1.0, 1.0)))


def tmass_names(ra, dec):
    """Return names like 2MASS's, "hhmmssss+ddmmsss", cut (not rounded) as there.

    Parameters
    ----------
    ra, dec : (S,) array, deg
    """
    hours = np.floor(np.asarray(ra) / 15.0 * 360000.0).astype(np.int64)  # 0.01 s
    angle = np.floor(np.abs(np.asarray(dec)) * 36000.0).astype(np.int64)  # 0.1"
    hours = hours // 360000 * 10**6 + hours // 6000 % 60 * 10**4 + hours % 6000
    angle = angle // 36000 * 10**5 + angle // 600 % 60 * 10**3 + angle % 600
    sign = np.where(np.signbit(dec), "-", "+")
    names = np.strings.add(np.strings.zfill(hours.astype("U8"), 8), sign)
    return np.strings.add(names, np.strings.zfill(angle.astype("U7"), 7))


def gaia_ids(ra, dec, number):
    """Return source identifiers like Gaia's: a cell of the sky above a number in it.

    The cells are about as large as Gaia's, but no HEALPix.

    Parameters
    ----------
    ra, dec : (S,) array, deg
    number : (S,) int array
        Distinct, below 2^28.
    """
    sine = np.sin(np.radians(dec))
    row = np.clip((4096 * (1.0 + sine)).astype(np.int64), 0, 8191)
    column = np.clip((np.asarray(ra) * 24576 / 360.0).astype(np.int64), 0, 24575)
    # An odd factor keeps the numbers distinct, and makes them look like Gaia's.
    scattered = (np.asarray(number) * 1000003 + 7) % 2**28 * 128
    return (row * 24576 + column) * 2**35 + scattered


def barycentric(ra, dec, jd):
    """Return the velocity (S,) in km/s to add to a measured one, to about 1 km/s.

    The Earth on a circle around the Sun; rotation and planets are left out.

    Parameters
    ----------
    ra, dec : (S,) array, deg
    jd : (S,) array
        Julian date.
    """
    sun = np.radians(280.46 + 0.9856474 * (jd - 2451545.0))
    ra, dec, tilt = np.radians(ra), np.radians(dec), np.radians(23.439)
    towards = np.sin(sun) * np.cos(dec) * np.cos(ra)
    across = np.cos(tilt) * np.cos(dec) * np.sin(ra) + np.sin(tilt) * np.sin(dec)
    return 29.79 * (towards - np.cos(sun) * across)
