"""B-mode ultrasound of the world.

Public: ``renderer.Renderer`` (frames), ``scene.Scene`` (label volume and materials), ``states.EchoNeedle``,
``states.Bolus``, ``states.Track`` (what else a frame shows), ``scan_grid.ScanGrid`` (lines, pixels,
``ImageToProbe``). The rest are its parts: ``march`` (what lines meet), ``scatter`` (speckle), ``needle_splat``,
``fluid``, ``blur``, ``compress``, with ``reference`` as the readable NumPy form of the compiled kernels.
"""
