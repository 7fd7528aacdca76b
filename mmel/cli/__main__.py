"""`python -m mmel.cli`, where the `mmel` script is not on the path."""

from . import main

main()
