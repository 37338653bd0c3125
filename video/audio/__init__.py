"""Sound by time: which tracks a file has, and their samples on the clock of its pictures.

    samples = read_audio("talk.mp4", Span(60, 75))       # float32 mono, 16,000 a second
    for block in stream_audio("talk.mp4", block_s=30):   # in bounded memory
        ...

Second 0 is that of `VideoInfo`: a click that is heard while a frame is shown has that frame's time.
Of a file without a film second 0 is its first sample.
"""

from mmreason.video.audio.read import list_audio_tracks, read_audio, stream_audio
from mmreason.video.audio.samples import AudioSamples, AudioTrack, NoAudioError

__all__ = [
    "AudioSamples",
    "AudioTrack",
    "NoAudioError",
    "list_audio_tracks",
    "read_audio",
    "stream_audio",
]
