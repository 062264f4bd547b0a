"""Assumptions of a simulated run: they were not measured on this bench, so the run is no evidence about them."""

from __future__ import annotations

ASSUMPTIONS = (
    "Anatomy is a mean lumbar model with recalled muscle, skin and dural dimensions; people vary more than the model.",
    "Gel, fat, muscle and nerve: stiffness, strength, attenuation and speed of sound are typical published or assumed "
    "values; the differences between as-built and nominal phantom are drawn from assumed distributions.",
    "Ultrasound frames come from a beam model with several elevation slices; there is no side lobe of a real array, "
    "no operator-set gain per depth and no patient motion.",
    "Needle bending, puncture force and friction follow published means for the gauge; lot-to-lot spread is assumed.",
    "The needle bends by the law that guidance expects (an arc of constant curvature, Rand 2016); only its size is "
    "drawn at random. A real needle may bend in another way, and steering is then less accurate.",
    "Line, syringe and tissue pressures follow a lumped model with assumed compliance and back-pressure. The "
    "simulated line's compliance is that of the rig file, which the pressure rules rely on, with a random "
    "scatter: a rig file that is wrong about its line is not simulated.",
    "Guidance knows the gel's mean speed of sound; the cartridge differs from it only by temperature and a small "
    "random scatter.",
    "The simulated operator's reaction time, tremor, placing, depth-reading and palpation errors are assumed profiles, "
    "in part after published summary figures, and do not describe persons of this study. The simulated operator does "
    "not look at the image: a hand guided by ultrasound follows the software's instructions.",
    "Devices answer as their manuals say; wear, electrical noise and faults outside the manuals do not occur.",
    "The reference instrument errs by 0.2 mm per axis in every reading of needle and phantom, whatever uncertainty its "
    "rig file declares, averaged over 12 readings, and by one random error of the body on the phantom (0.1 mm, 0.03 "
    "deg), the same for all trials of a bench. The needle's sensor itself has no bias.",
)
