"""Audio: text to speech, speech to text, and the voices that a user makes."""

from fakeai_proxy.services.audio import voices
from fakeai_proxy.services.audio.speech import create_speech
from fakeai_proxy.services.audio.transcription import create_transcription, create_translation
from fakeai_proxy.services.audio.wire import (
    SpeechRequest,
    TranscriptionRequest,
    TranslationRequest,
)
from fakeai_proxy.services.operation import Operation

#: The vendor's own limit of an upload, and its own way of counting: the whole form.
_UPLOAD_BYTES_MAX = 26_214_400

OPERATIONS = (
    Operation(
        "createSpeech", "POST", "/audio/speech", create_speech, SpeechRequest, threaded=True
    ),
    Operation(
        "createTranscription", "POST", "/audio/transcriptions", create_transcription,
        form=TranscriptionRequest, form_bytes_max=_UPLOAD_BYTES_MAX,
    ),
    Operation(
        "createTranslation", "POST", "/audio/translations", create_translation,
        form=TranslationRequest, form_bytes_max=_UPLOAD_BYTES_MAX,
    ),
    *voices.OPERATIONS,
)  # fmt: skip
