"""``python -m rig.cli``."""

from rig.cli.main import main

if __name__ == "__main__":
    main()
