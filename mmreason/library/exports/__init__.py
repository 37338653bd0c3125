"""What was found, as files for others: tables, subtitles, chapters, cut lists, clips.

write_export(items, "found.csv", duration_s=video.info.duration_s)
save_clips(answer, "proof")
"""

from mmreason.library.exports.clips import ClipFile, cut_clip, save_clips
from mmreason.library.exports.items import ExportItem, fit_items, to_export_item
from mmreason.library.exports.write import EXPORT_SUFFIXES, ExportFile, check_export, write_export

__all__ = [
    "EXPORT_SUFFIXES",
    "ClipFile",
    "ExportFile",
    "ExportItem",
    "check_export",
    "cut_clip",
    "fit_items",
    "save_clips",
    "to_export_item",
    "write_export",
]
