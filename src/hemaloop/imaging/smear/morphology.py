"""How each class of white cell looks in a stained film of healthy blood.

Sizes are diameters in dried films, in micrometres.

Sources: Bain, "Blood Cells: A Practical Guide", 5th ed. 2015, chapter 3 (sizes, lobes, granules, colours);
Palmer et al. 2015, "ICSH recommendations for the standardization of nomenclature and grading of peripheral blood
cell morphological features", Int J Lab Hematol 37:287 (lobes, filaments); Lewis et al., "Dacie and Lewis Practical
Haematology", 12th ed., chapter 5.
"""

from dataclasses import dataclass

Dyes = tuple[float, float, float, float]  # units of azure, methylene blue, eosin, haemoglobin; see slide.ABSORBERS


@dataclass(frozen=True)
class Granules:
    per_um2: float  # of the cell's area
    radius_um: tuple[float, float]
    dyes: Dyes
    over_nucleus: bool = False


@dataclass(frozen=True)
class Morphology:
    cell_um: tuple[float, float]  # diameter
    outline: float  # how uneven, as a share of the radius
    cytoplasm: Dyes
    nucleus: str  # "round", "kidney" or "lobes"
    nucleus_share: tuple[float, float]  # diameter of the nucleus over that of the cell
    lobes: tuple[float, ...]  # weights of 2, 3, 4 and 5 lobes; () unless "lobes"
    chromatin: Dyes
    clumps: float  # contrast of the chromatin: smooth 0, coarse 1
    granules: Granules
    vacuoles: int = 0  # at most


CHROMATIN: Dyes = (0.74, 0.06, 0.42, 0.0)

MORPHOLOGY = {
    # 10 to 14 um; two or three lobes, all but hidden by large, dark violet granules.
    "basophil": Morphology(
        cell_um=(10.5, 13.5),
        outline=0.03,
        cytoplasm=(0.14, 0.10, 0.08, 0.0),
        nucleus="lobes",
        nucleus_share=(0.72, 0.82),
        lobes=(0.55, 0.45),
        chromatin=(0.56, 0.05, 0.40, 0.0),
        clumps=0.35,
        granules=Granules(0.95, (0.30, 0.62), (1.02, 0.28, 0.30, 0.0), over_nucleus=True),
    ),
    # 12 to 17 um; two lobes, seldom three; the cytoplasm packed with large, round, orange-red granules.
    "eosinophil": Morphology(
        cell_um=(12.0, 15.5),
        outline=0.03,
        cytoplasm=(0.02, 0.04, 0.15, 0.15),
        nucleus="lobes",
        nucleus_share=(0.66, 0.76),
        lobes=(0.85, 0.15),
        chromatin=CHROMATIN,
        clumps=0.6,
        granules=Granules(3.2, (0.28, 0.50), (0.0, 0.0, 0.30, 0.85)),
    ),
    # 9 to 15 um; a round nucleus with dense, smudged chromatin fills most of it; a rim of clear sky blue.
    "lymphocyte": Morphology(
        cell_um=(9.0, 13.0),
        outline=0.04,
        cytoplasm=(0.03, 0.32, 0.0, 0.0),
        nucleus="round",
        nucleus_share=(0.76, 0.93),
        lobes=(),
        chromatin=(0.88, 0.12, 0.42, 0.0),
        clumps=0.4,
        granules=Granules(0.02, (0.12, 0.22), (0.5, 0.0, 0.4, 0.0)),
    ),
    # 14 to 20 um, the largest; kidney, horseshoe or folded; lacy chromatin; grey-blue, dusty, often with vacuoles.
    "monocyte": Morphology(
        cell_um=(14.0, 18.5),
        outline=0.07,
        cytoplasm=(0.10, 0.17, 0.06, 0.0),
        nucleus="kidney",
        nucleus_share=(0.66, 0.78),
        lobes=(),
        chromatin=(0.58, 0.08, 0.36, 0.0),
        clumps=0.95,
        granules=Granules(1.6, (0.07, 0.13), (0.22, 0.1, 0.2, 0.0)),
        vacuoles=7,
    ),
    # 12 to 15 um; two to five lobes, mostly three, joined by filaments; pale pink, with a fine lilac dust.
    "neutrophil": Morphology(
        cell_um=(12.0, 15.0),
        outline=0.04,
        cytoplasm=(0.05, 0.02, 0.14, 0.05),
        nucleus="lobes",
        nucleus_share=(0.66, 0.78),
        lobes=(0.10, 0.50, 0.32, 0.08),
        chromatin=(0.82, 0.08, 0.40, 0.0),
        clumps=0.7,
        granules=Granules(2.6, (0.09, 0.16), (0.16, 0.0, 0.24, 0.0)),
    ),
}
CLASSES = tuple(sorted(MORPHOLOGY))

# Red cells: 7.2 um in films (Bain, chapter 3); platelets: 2 to 3 um, violet granules in pale blue.
RED_CELL_UM = (7.2, 0.35)  # mean and standard deviation
RED_CELL: Dyes = (0.07, 0.0, 0.13, 0.60)
PLATELET_UM = (1.8, 3.2)
PLATELET: Dyes = (0.06, 0.14, 0.05, 0.0)
PLATELET_GRANULES: Dyes = (0.45, 0.1, 0.3, 0.0)
