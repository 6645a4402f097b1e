"""`python -m croupierctl`."""

from croupierctl.app import main

main()
