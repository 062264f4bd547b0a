"""Device QA: mathematics of the methods, and what turns recorded readings into a judged report.

Mathematics - pure functions on arrays that return frozen results, most with ``figures()`` for a report; each takes its
functions from its own module (``from analysis.qa.pose import pose``):

- ``pose`` (``pose rp_interval orientation directions distance drift``), ``settling``, ``path``: after ISO 9283
- ``axis`` (``axis targets AxisBudget``): after ISO 230-2; ``points``: in the manner of ASTM F2554
- ``weights``, ``evaporation``, ``gravimetric``, ``drops``, ``flow`` (``flow start_up trumpet``): a pump on a balance
- ``bolus``, ``occlusion``, ``syringe``: boluses and short windows, closed line, the syringe that lasts
- ``static`` (``static_calibration``), ``drift`` (``slope creep``), ``force_class``: sensors against a reference
- ``charts`` (``Design individuals ewma cusum phase_one``), ``rules``, ``run_length``, ``gage``: over time
- ``reference`` (``may_decide``): the rule before a test; ``standards``: the documents, as data

They raise ``ConfigError`` for readings of which no figure can be given. The rest of the package is the frame:
``evaluation`` and ``outcome`` (what a test is and finds), ``acceptance`` and ``verdict`` (limits), ``recorded``,
``history`` and ``report``.
"""
