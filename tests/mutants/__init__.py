"""Rules that no test kills: break one rule at a time in a copy of the tree, and see whether a test dies.

``phantomrig test --mutants SEED`` draws a seeded sample of small faults (a sign, a bound, a unit, an ``and`` for an
``or``) in the places that ``targets.toml`` names, and runs the tests nearest to each. A fault that no test notices is
either equivalent (listed in ``equivalents.toml`` with the reason) or a rule that nothing holds.
"""
