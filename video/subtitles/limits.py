"""What subtitles may take of memory and time: they come from anywhere."""

MAX_BYTES = 8 * 2**20
"""Of a file, or of the text of a track. A day of subtitles takes about 3 MiB."""
MAX_LINES = 100_000
"""Of one file or track."""
MAX_PACKETS = 200_000
"""Of a track; those without text count."""
MAX_TEXT = 1_000
"""Characters kept of one line."""
MAX_RAW_TEXT = 64_000
"""Characters of one line that are looked at; what follows is cut."""
MAX_LABEL = 100
"""Characters of a track's language and title."""
MAX_NAMED = 8
"""Files or tracks that an error or a note names; the rest is counted."""
MAX_FILES_TRIED = 8
"""Files beside a video that are opened where the ones before cannot be read."""
