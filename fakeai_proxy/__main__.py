"""`python -m fakeai_proxy` is `fakeai-proxy`."""

from fakeai_proxy.cli import main

main()
