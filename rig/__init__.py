"""The controller: what a rig can do, whatever the experiment."""

__version__ = "0.2.0"
