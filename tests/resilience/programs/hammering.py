"""Asks again at once, and many times."""

from asking import Client, main


class Hammering(Client):
    attempts = 40

    @staticmethod
    def pause(attempt: int, told_s: float | None) -> float:
        return 0


main(Hammering())
