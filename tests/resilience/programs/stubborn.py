"""Asks again whatever the refusal."""

from asking import PASSING, Client, main


class Stubborn(Client):
    repeated = (*PASSING, 400, 401)


main(Stubborn())
