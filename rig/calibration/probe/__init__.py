"""Place of the image in the probe: N-wire calibration."""
