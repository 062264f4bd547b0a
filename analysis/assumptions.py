"""What a simulated run assumes: not measured on this bench, and so no evidence about it."""

from __future__ import annotations

ASSUMPTIONS = (
    "Anatomy is a mean lumbar model with recalled muscle, skin and dural dimensions; persons vary more than it does.",
    "Gel, fat, muscle and nerve: stiffness, strength, attenuation and speed of sound are typical published or assumed "
    "values; the differences between as-built and nominal phantom are drawn from assumed distributions.",
    "Ultrasound frames come from a beam model with several elevation slices; there is no side lobe of a real array, "
    "no operator-set gain per depth and no patient motion.",
    "Needle bending, puncture force and friction follow published means for the gauge; lot-to-lot spread is assumed.",
    "Line, syringe and tissue pressures follow a lumped model with assumed compliance and back-pressure.",
    "The simulated operator's reaction time, tremor, perception and palpation errors are assumed profiles, fitted to "
    "published summary figures and not to persons of this study.",
    "Devices answer as their manuals say; wear, electrical noise and faults outside the manuals do not occur.",
    "The reference instrument's error is drawn from its declared uncertainty; it has no unknown bias.",
)
