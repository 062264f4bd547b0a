"""Documents that the methods of device QA follow, as data; no edition or clause was compared with the text."""

from __future__ import annotations

from analysis.qa.acceptance import Method

ISO_9283 = Method(document="ISO 9283", edition="1998", clause="7 and 8", verified=False)
ISO_230_2 = Method(document="ISO 230-2", edition="2014", verified=False)
ASTM_F2554 = Method(document="ASTM F2554", edition="22", verified=False)
IEC_60601_2_24 = Method(
    document="IEC 60601-2-24", edition="2012", clause="201.12.1.102 to 201.12.1.107", verified=False
)
EURAMET_CG_17 = Method(document="EURAMET cg-17", verified=False)
ISO_376 = Method(document="ISO 376", edition="2011", verified=False)
AIAG_MSA = Method(document="AIAG MSA, analysis of variance", edition="4", verified=False)

STANDARDS = (ISO_9283, ISO_230_2, ASTM_F2554, IEC_60601_2_24, EURAMET_CG_17, ISO_376, AIAG_MSA)
"""Each stands behind the word *after*: a test follows a method, it is never said to comply."""
