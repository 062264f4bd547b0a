"""Plans as frozen data: study, technique, plan, and the states of a trial."""
