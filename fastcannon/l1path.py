"""Models along a path of strengths of the L1 penalty."""

from copy import copy


class L1Path:
    """Models along a path of L1 strengths, at one s2.

    Attributes
    ----------
    strengths : ndarray, (L,)
    theta : ndarray, (L, P, T)
    s2 : ndarray, (P,)
    violation : ndarray, (L, P)
        Largest violation of the optimality conditions, relative to the largest gradient
        at theta = 0.
    """

    def __init__(self, free, strengths, theta, violation):
        self._free = free
        self.strengths = strengths
        self.theta = theta
        self.s2 = free.s2
        self.violation = violation

    def model(self, i):
        """Return the model of strength i, ready to infer.

        Parameters
        ----------
        i : int
            0 to L - 1.

        Returns
        -------
        CannonModel
        """
        model = copy(self._free)
        model.l1 = float(self.strengths[i])
        model.theta = self.theta[i]
        return model
