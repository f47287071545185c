"""Waits for ever."""

from asking import Client, main


class Patient(Client):
    timeout_s = None


main(Patient())
