"""Takes whatever has come for the answer."""

from asking import Client, main


class Gullible(Client):
    def on_broken(self, error: Exception) -> None:
        pass


main(Gullible())
