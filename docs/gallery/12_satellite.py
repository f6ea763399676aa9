"""From orbit: CPHD and CRSD

The two formats in which satellites and aircraft give phase history (CPHD) and received signals (CRSD). Transmitter and
receiver may stand apart, as here, 40 m. The point stands 1.2 m above the ground that is imaged, so it is laid over
towards the radar, by the same way in both.
"""

from mimo import VoxelGrid
from mimo.data import read_measured
from mimo.recon import reconstruct
from mimo.viewer import Panel, figure, save

grid = VoxelGrid.parse("x=-6:6:97,y=-6:6:97,z=0:0:1")
panels = []
for name, kind in (("spotlight.cphd", "cphd"), ("stripmap.crsd", "crsd")):
    scan = read_measured(name, format=kind)
    image = reconstruct("backprojection-fast", scan, grid)
    panels.append(Panel(kind, image.magnitude[0]))

save(figure(panels, grid), "satellite.png")
