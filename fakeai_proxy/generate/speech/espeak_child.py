"""One utterance by espeak-ng, in a process of its own: `python espeak_child.py LIBRARY DATA VOICE RATE
PITCH RANGE`, text on stdin, 16-bit samples on stdout after four bytes of sample rate.

The library is GPL-3, so it is never loaded into the program; and only the first utterance of a process
is the same every time, so each has a process. Imports nothing of ours, so that it starts quickly.
"""

import ctypes
import sys
from ctypes import POINTER, c_char_p, c_int, c_short, c_size_t, c_uint, c_void_p

# speak_lib.h
_RETRIEVAL = 1
_RATE, _PITCH, _RANGE = 1, 3, 4
_CHARACTER = 1
_UTF8 = 1


def main() -> int:
    library, data, voice, rate, pitch, spread = sys.argv[1:]
    text = sys.stdin.buffer.read()
    espeak = ctypes.CDLL(library)
    hertz = espeak.espeak_Initialize(_RETRIEVAL, 0, c_char_p(data.encode()), 0)
    if hertz <= 0:
        return 2
    out = sys.stdout.buffer
    out.write(int(hertz).to_bytes(4, "little"))

    @ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, c_void_p)
    def heard(samples, count, _events):  # type: ignore[no-untyped-def]  # ctypes says what they are
        if samples and count:
            out.write(ctypes.string_at(samples, 2 * count))
        return 0

    # Its breath is noise, seeded by the time of day unless told otherwise.
    espeak.espeak_ng_SetRandSeed(ctypes.c_long(1))
    espeak.espeak_SetSynthCallback(heard)
    if espeak.espeak_SetVoiceByName(c_char_p(voice.encode())):
        return 3
    for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, spread)):
        espeak.espeak_SetParameter(parameter, int(value), 0)
    espeak.espeak_Synth.argtypes = [
        c_char_p, c_size_t, c_uint, c_int, c_uint, c_uint, c_void_p, c_void_p,
    ]  # fmt: skip
    if espeak.espeak_Synth(text, len(text) + 1, 0, _CHARACTER, 0, _UTF8, None, None):
        return 4
    espeak.espeak_Synchronize()
    out.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
