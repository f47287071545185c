"""Good without an SDK."""

from asking import Client, main

main(Client())
