"""The size of the networks and how they are trained."""

from dataclasses import dataclass

from ..errors import InputError, check_whole

WIDE = 256  # layers of this width and above are thinned by dropout (Thomas+2024)


@dataclass(frozen=True)
class Settings:
    """How the networks of a `Translator` are built and trained.

    Parameters
    ----------
    width : int
        Of the first and last layers.
    doublings : int
        How often the width is doubled towards the middle.
    batch : int
        Stars in one step of the optimiser. Small batches matter more than size.
    rates : tuple of float
        Learning rates, in turn; each until the held-out loss stops improving.
    patience : int
        Epochs without improvement before the next learning rate.
    epochs : int
        Most epochs of one learning rate.
    dropout : float
        Share of the units left out in layers of width 256 and more.
    decay : float
        Weight decay of the optimiser (AdamW); 0 is Adam.
    weighted : bool
        Whether stars are weighted by the errors of both surveys.
    redraw : bool
        Whether inputs and outputs are redrawn within their errors, anew in every batch.
        The networks then undo less of the noise that applied tables have as well.
    sparse : float
        Stars are weighted by the distance to their neighbours to this power; 0: alike.
    blend : bool
        Whether each output is the blend of networks and smooth map that is best on
        held-out stars; else networks alone.
    smooth_far : bool
        Whether the linear map takes over far from the training sample.
    """

    width: int = 32
    doublings: int = 1
    batch: int = 16
    rates: tuple[float, ...] = (2e-3, 5e-4, 1e-4)
    patience: int = 5
    epochs: int = 40
    dropout: float = 0.5
    decay: float = 1e-4
    weighted: bool = False
    redraw: bool = False
    sparse: float = 0.0
    blend: bool = True
    smooth_far: bool = True

    def __post_init__(self):
        for name in ("width", "batch", "patience", "epochs"):
            check_whole(getattr(self, name), name)
        check_whole(self.doublings, "doublings", 0)
        if not self.rates or not all(0 < rate < 1 for rate in self.rates):
            raise InputError(
                f"rates are {self.rates}; one or more learning rates between 0 and 1 "
                "are expected"
            )
        if not 0 <= self.sparse <= 2:
            raise InputError(f"sparse is {self.sparse}; a power of 0 to 2 is expected")
        if not 0 <= self.dropout < 1 or not 0 <= self.decay < 1:
            raise InputError(
                f"dropout is {self.dropout}, decay {self.decay}; both must be at "
                "least 0 and below 1"
            )

    @classmethod
    def original(cls):
        """Return the settings of Thomas+2024: 64 to 512 units, batches of 4096."""
        return cls(
            width=64,
            doublings=3,
            batch=4096,
            rates=(1e-3, 1e-4, 1e-5),
            patience=5,
            epochs=1000,
            decay=0.0,
        )
