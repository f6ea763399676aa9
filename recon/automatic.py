"""`auto-physics`: back-projection by whichever way is predicted to be the quickest for the geometry (`recon.costs`)."""

from __future__ import annotations

from recon.costs import predict, quickest
from recon.registry import METHODS, Images, Problem, reconstructor


@reconstructor("auto-physics", "back-projection by the way that is quickest for the geometry", general=False)
def auto_physics(problem: Problem) -> Images:
    """The image of `backprojection`, exactly or by the quickest of the fast methods that take the geometry.

    The choice and the seconds predicted for one scene on one core are recorded with the image.
    """
    seconds = problem.shared("auto-physics", predict)
    chosen = quickest(seconds)
    made = METHODS[chosen].run(problem)
    rounded = {name: float(f"{value:.3g}") for name, value in seconds.items()}
    return Images(made.image, {**made.found, "chosen": chosen, "predicted_seconds": rounded})
