"""Kinds of the tables of a run, and the keyword that all tables of labels have."""

# Inferred labels, cross-validation, common stars of two surveys.
LABELS, VALIDATION, TRAINING = "LABELS", "VALIDATION", "TRAINING"
# Survey and Gaia values of a packed part; what has no row in a catalogue.
STARS, LEFT_OUT = "CATSTARS", "LEFTOUT"
HELD_OUT = "HELDOUT"  # training stars by a translator that has not seen them
BAD_PIXELS = "BADPIXEL"  # keyword of inferred labels: pixels that were no numbers
