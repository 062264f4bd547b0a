"""What is to be done, as frozen data: study, technique, plan, and the states of a trial."""
