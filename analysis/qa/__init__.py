"""Device QA: from recorded readings to a judged report.

- ``methods``: mathematics after ISO 9283, ISO 230-2, ASTM F2554, IEC 60601-2-24 and AIAG, on arrays; each function is
  imported from its own module (``from analysis.qa.methods.pose import pose``)
- ``kinds``: the kinds of tests (``kinds.registry`` lists them)
- this room: ``evaluation`` and ``outcome`` (what a test is and finds), ``acceptance`` and ``verdict`` (limits),
  ``recorded`` and ``report`` (one run), ``history``, ``believed``, ``trend`` and ``impact`` (many runs)
"""
