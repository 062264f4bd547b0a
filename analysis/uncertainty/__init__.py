"""The uncertainty budget of a trial's tip error."""
