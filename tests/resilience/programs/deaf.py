"""Waits as it thinks best, whatever Retry-After says."""

from asking import Client, main


class Deaf(Client):
    @staticmethod
    def pause(attempt: int, told_s: float | None) -> float:
        return 0.2 * 2**attempt


main(Deaf())
