"""`python -m dirnet` is `dirnet`."""

from dirnet.cli.app import main

main()
