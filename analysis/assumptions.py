"""What a simulated run assumes: not measured on this bench, and so no evidence about it."""

from __future__ import annotations

ASSUMPTIONS = (
    "Anatomy is a mean lumbar model with recalled muscle, skin and dural dimensions; persons vary more than it does.",
    "Gel, fat, muscle and nerve: stiffness, strength, attenuation and speed of sound are typical published or assumed "
    "values; the differences between as-built and nominal phantom are drawn from assumed distributions.",
    "Ultrasound frames come from a beam model with several elevation slices; there is no side lobe of a real array, "
    "no operator-set gain per depth and no patient motion.",
    "Needle bending, puncture force and friction follow published means for the gauge; lot-to-lot spread is assumed.",
    "The needle bends by the law that guidance expects (an arc of constant curvature, Rand 2016); only its size is "
    "drawn. A real needle may bend in another way, and steering then does worse.",
    "Line, syringe and tissue pressures follow a lumped model with assumed compliance and back-pressure. The "
    "simulated line's compliance is that of the rig file, which the pressure rules rely on, give or take a drawn "
    "scatter: a rig file that is wrong about its line is not simulated.",
    "Guidance knows the gel's mean speed of sound; the cartridge differs from it by temperature and a small drawn "
    "scatter only.",
    "The simulated operator's reaction time, tremor, placing, depth-reading and palpation errors are assumed profiles, "
    "in part after published summary figures, and not of persons of this study. He does not look at the picture: a "
    "hand that ultrasound leads follows the software's instructions.",
    "Devices answer as their manuals say; wear, electrical noise and faults outside the manuals do not occur.",
    "The reference instrument errs by 0.2 mm per axis in every reading of needle and phantom, whatever uncertainty its "
    "rig file declares, averaged over 12 readings, and by one drawn error of the body on the phantom (0.1 mm, 0.03 "
    "deg), the same for all trials of a bench. The needle's sensor itself has no bias.",
)
