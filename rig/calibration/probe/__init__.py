"""Where the picture lies in the probe: N-wire calibration."""
